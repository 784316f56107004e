// For the dashboard and the report: a figure's layout as it fits on a phone.

function fitted(layout, width) {
  const narrow = 480, line = 26; // px, and letters of a title's line
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
    return { ...axis, ...title, ...tickfont };
  };
  const axes = Object.entries(layout).filter(([name]) => /^xaxis\d*$/.test(name));
  return { ...layout, ...Object.fromEntries(axes.map(([name, axis]) => [name, fit(axis)])) };
}
