// For the dashboard and the report: a figure's layout as it fits on a phone.

function fitted(layout, width) {
  const narrow = 480, line = 26, short = 1.4; // px, letters of a title's line, and decades
  if (width >= narrow) return layout;
  const wrap = (text) =>
    text.split(" ").reduce((lines, word) => {
      const last = lines.at(-1);
      const fits = last !== undefined && last.length + word.length < line;
      return fits ? [...lines.slice(0, -1), `${last} ${word}`] : [...lines, word];
    }, []).join("<br>");
  const fit = (axis) => {
    const [begin, end] = axis.domain ?? [0, 1];
    const title = axis.title?.text && { title: { ...axis.title, text: wrap(axis.title.text) } };
    // Two panels stand side by side: their numbers must not run into one another.
    const tickfont = end - begin < 0.6 && { tickfont: { ...axis.tickfont, size: 9 } };
    // Of 1e-3, 2e-3, 5e-3, … only whole decades have room on a long log axis.
    const [low, high] = axis.range ?? [0, 0];
    const decades = axis.dtick === "D2" && high - low > short && {
      dtick: 1,
      minor: { dtick: "D1", ticks: "outside", ticklen: 2 },
    };
    return { ...axis, ...title, ...tickfont, ...decades };
  };
  // Notes above the axes: a part a line.
  const annotations = (layout.annotations ?? []).map((note) => ({
    ...note,
    text: note.text?.replaceAll(" · ", "<br>"), // an arrow has none
    align: "right",
  }));
  const lines = Math.max(1, ...annotations.map(({ text = "" }) => text.split("<br>").length));
  const margin = lines > 1 ? { ...layout.margin, t: 18 + 16 * lines } : layout.margin;
  const axes = Object.entries(layout)
    .filter(([name]) => /^xaxis\d*$/.test(name))
    .map(([name, axis]) => [name, fit(axis)]);
  return { ...layout, annotations, margin, ...Object.fromEntries(axes) };
}
