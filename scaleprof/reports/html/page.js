"use strict";
// What the page is made of: figures of Plotly without colours of the page, and calls by variant.
const content = JSON.parse(document.getElementById("content").textContent);
const COLOUR_KEYS = new Set(["color", "fillcolor"]);
const NARROW = 640;
const ROW_PIXELS = 44;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// Names of colours, as "@ink", become the colours of the present theme; texts stay as they are.
function themed(value, key) {
  if (Array.isArray(value)) return value.map((item) => themed(item, key));
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, themed(v, k)]));
  }
  const named = COLOUR_KEYS.has(key) && typeof value === "string" && value.startsWith("@");
  return named ? colour(value.slice(1)) : value;
}

function layoutOf(figure, width) {
  const layout = themed(figure.layout);
  const axis = { gridcolor: colour("grid"), zerolinecolor: colour("grid"), automargin: true };
  for (const key of Object.keys(layout).filter((name) => /^[xy]axis/.test(name))) {
    layout[key] = { ...axis, ...layout[key] };
  }
  const narrow = width < NARROW;
  if (layout.title) layout.title = { ...layout.title, font: { size: 14 }, x: 0, xanchor: "left" };
  return {
    ...layout,
    paper_bgcolor: colour("page"),
    plot_bgcolor: colour("page"),
    font: { color: colour("ink"), family: "system-ui, sans-serif", size: narrow ? 12 : 13 },
    hoverlabel: {
      bgcolor: colour("card"), bordercolor: colour("muted"), align: "left",
      font: { color: colour("ink"), size: narrow ? 11 : 13 },
    },
    hovermode: "closest",
    dragmode: narrow ? false : "zoom",
    margin: { l: 56, r: 12, t: layout.title ? 40 : 24, b: 48 },
    legend: { orientation: "h", y: narrow ? -0.32 : -0.22, x: 0 },
  };
}

function draw(box) {
  const figure = content.figures[box.dataset.figure];
  if (figure.kind === "bars") {
    box.style.height = `${Math.max(260, 150 + ROW_PIXELS * figure.rows)}px`;
  }
  const settings = { responsive: true, displaylogo: false, displayModeBar: false };
  const layout = layoutOf(figure, box.clientWidth);
  return Plotly.react(box, themed(figure.data), layout, settings);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

async function offer(report, variant, output) {
  const call = content.calls[report][variant];
  output.textContent = `${(await copy(call)) ? "copied" : "copy this"}: ${call}`;
}

const boxes = [...document.querySelectorAll(".plot")];
for (const box of boxes) {
  const { report, figure } = box.dataset;
  const output = box.closest("figure").querySelector("output");
  draw(box).then(() => {
    box.on("plotly_click", ({ points: [point] }) => {
      const variant = point.customdata;
      const of = content.figures[figure].reports?.[point.curveNumber] ?? report;
      if (typeof variant === "string" && output !== null) offer(of, variant, output);
    });
    box.dataset.drawn = "yes";
  });
}
for (const button of document.querySelectorAll("button[data-variant]")) {
  const { report, variant } = button.dataset;
  const output = document.getElementById(button.getAttribute("aria-controls"));
  button.addEventListener("click", () => offer(report, variant, output));
}
const dark = window.matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", () => boxes.forEach(draw));
