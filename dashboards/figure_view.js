// Draws a figure in the page with plotly.js. When its data change it is drawn anew in place, so that
// what the reader has zoomed to, hidden or picked out stays. See figure_view.py, which puts
// templates/narrow.js before it.

const SCRIPT = "plotly-js"; // id of the script element; pages that open with a figure have it in their head

function plotly() {
  if (window.Plotly) return Promise.resolve(window.Plotly);
  let script = document.getElementById(SCRIPT);
  if (script === null) {
    script = document.createElement("script");
    script.id = SCRIPT;
    script.src = new URL("plotly.js", document.baseURI).href;
    document.head.append(script);
  }
  return new Promise((resolve, reject) => {
    script.addEventListener("load", () => resolve(window.Plotly));
    script.addEventListener("error", () => {
      script.remove();
      reject(new Error("plotly.js, which draws the figures, did not load; reload the page"));
    });
  });
}

function makePlace(parent, label) {
  const place = document.createElement("div");
  place.className = "hyperlaw-figure";
  place.setAttribute("role", "figure");
  place.setAttribute("aria-label", label);
  parent.append(place);
  return place;
}

function fullscreenButton(place) {
  return {
    name: "fullscreen",
    title: "Full screen",
    icon: {
      width: 24,
      height: 24,
      path: "M4 4h6v2H6v4H4zm10 0h6v6h-2V6h-4zM4 14h2v4h4v2H4zm14 0h2v6h-6v-2h4z",
    },
    click: () => (document.fullscreenElement ? document.exitFullscreen() : place.requestFullscreen()),
  };
}

async function draw(place, wanted, { figure, config, templates }, scheme) {
  place.wanted = wanted;
  const Plotly = await plotly();
  // Newer data may have come meanwhile, or the reader has gone to another page.
  if (place.wanted !== wanted || place.drawn === wanted || !place.isConnected) return;
  place.drawn = wanted;
  const template = templates[scheme];
  const { height, ...layout } = { ...figure.layout, template, autosize: true };
  const fit = () => {
    const whole = document.fullscreenElement === place;
    place.style.height = whole ? "100vh" : `${height}px`;
    place.style.background = whole ? template.layout.paper_bgcolor : "";
    if (place.isConnected && place.clientWidth > 0) Plotly.Plots.resize(place);
  };
  place.style.height = `${height}px`;
  // The same button every time: where the configuration differs, plotly begins from the start.
  place.button ??= fullscreenButton(place);
  await Plotly.react(place, figure.data, fitted(layout, place.clientWidth), {
    ...config,
    modeBarButtonsToAdd: [place.button],
  });
  place.observer?.disconnect();
  place.observer = new ResizeObserver(fit);
  place.observer.observe(place.parentElement);
  place.onfullscreenchange = fit;
}

export default function ({ data, parentElement }) {
  const text = new TextDecoder().decode(data);
  const sent = JSON.parse(text);
  const place =
    parentElement.querySelector(":scope > .hyperlaw-figure") ?? makePlace(parentElement, sent.label);
  const scheme = getComputedStyle(parentElement).colorScheme === "dark" ? "dark" : "light";
  draw(place, scheme + text, sent, scheme).catch((error) => {
    place.textContent = `${error.message}.`;
  });
  return () => {
    if (place.isConnected) return; // Streamlit also calls this when the next data come
    place.observer?.disconnect();
    if (window.Plotly) window.Plotly.purge(place);
  };
}
