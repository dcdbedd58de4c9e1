// Figures: drawn by Observable Plot at the width they have, again when width or theme change.

import { element, isDark } from "./common.js";

const { Plot } = globalThis;

const TOKENS = ["ink", "muted", "rule", "faint", "paper", "accent", "right", "even", "left", "correct", "error", "focus"];

// The theme's colours, read from the style sheet: one declaration for text and plots.
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const found = Object.fromEntries(TOKENS.map((t) => [t, style.getPropertyValue(`--${t}`).trim()]));
  return { ...found, dark: isDark() };
}

// Colours of the blocks of the biased task, by the probability of a stimulus on the left.
export const blockColour = (c, pLeft) => (pLeft === 0.2 ? c.right : pLeft === 0.8 ? c.left : c.even);

// Fraction of rightward choices: blue is left, orange right, as everywhere.
export function choiceScale(c) {
  const middle = c.dark ? "#2b3237" : "#f3f2ee";
  const interpolate = globalThis.d3.interpolateRgbBasis(
    c.dark
      ? ["#5aa9f0", "#33648f", middle, "#95572b", "#f59447"]
      : ["#11508f", "#86b3da", middle, "#eaaa78", "#a84204"],
  );
  return { type: "linear", domain: [0, 1], interpolate };
}

const statusColours = {
  "in training": ["#b9c3cb", "#55626c"],
  "trained 1a": ["#8cc6c0", "#3d7f7b"],
  "trained 1b": ["#4a9f9c", "#4aa8a4"],
  ready4ephysrig: ["#2c7a94", "#5fb4d4"],
  ready4delay: ["#2a5a8c", "#7f9fe8"],
  ready4recording: ["#43398a", "#b09cf5"],
  untrainable: ["#b98a76", "#a06a50"],
  unbiasable: ["#a8785f", "#c48868"],
};
export const STATUSES = Object.keys(statusColours);
export const statusColour = (c, status) =>
  (statusColours[status] ?? statusColours["in training"])[c.dark ? 1 : 0];

// A time axis of months spans a year at least: a young project's bars stay bars.
export function yearOf(months) {
  const last = globalThis.d3.utcMonth.offset(globalThis.d3.max(months), 1);
  const first = globalThis.d3.min(months);
  const year = globalThis.d3.utcMonth.offset(last, -12);
  return [first < year ? first : year, last];
}

export function plot(width, options) {
  const { style, ...rest } = options;
  const drawn = Plot.plot({
    width,
    marginLeft: 48,
    marginRight: 14,
    marginBottom: 38,
    ...rest,
    style: { fontSize: "12px", fontFamily: "inherit", background: "none", ...style },
  });
  const svg = drawn.tagName === "svg" ? drawn : drawn.querySelector("svg");
  svg.setAttribute("role", "img");
  // The picture has one name; a reader of screens gets the numbers from the table below it.
  for (const group of svg.querySelectorAll("g[aria-label], [aria-label=frame]")) group.removeAttribute("aria-label");
  return drawn;
}

// A bar of colours with the values at its ends; `paint` gives the colour of a fraction.
export function colourBar(label, from, to, paint) {
  const steps = globalThis.d3.range(32);
  return plot(300, {
    height: 40, margin: 0, marginLeft: 58, marginRight: 40, marginTop: 2, marginBottom: 26, axis: null, x: { domain: [0, 1] },
    ariaLabel: `Colours: ${label}, from ${from} to ${to}`,
    marks: [
      Plot.rect(steps, { x1: (i) => i / 32, x2: (i) => (i + 1) / 32, y1: 0, y2: 1, fill: (i) => paint((i + 0.5) / 32) }),
      Plot.text([[0, from], [1, to]], { x: (d) => d[0], y: 0, text: (d) => d[1], textAnchor: "middle", dy: 10 }),
      Plot.text([[0.5, label]], { x: (d) => d[0], y: 0, text: (d) => d[1], textAnchor: "middle", dy: 10 }),
    ],
  });
}

// Fill the figure with that id.
//   make(width, colours) → an SVG, or several to be stacked
//   rows() → { columns, rows }: the same numbers as a table, for reading and copying
export function draw(id, make, rows) {
  const figure = document.getElementById(id);
  if (!figure) return () => {};
  const holder = figure.querySelector(".plot");
  const title = figure.querySelector("h2").textContent;
  let width = 0;
  const render = () => {
    const made = [make(width, colours())].flat().filter(Boolean);
    made.forEach((svg, i) => {
      if (!svg.getAttribute("aria-label")) svg.setAttribute("aria-label", made.length > 1 ? `${title}, part ${i + 1}` : title);
    });
    holder.replaceChildren(...made);
    holder.removeAttribute("aria-busy");
  };
  new ResizeObserver(([entry]) => {
    const now = Math.floor(entry.contentRect.width);
    if (now && now !== width) {
      width = now;
      render();
    }
  }).observe(holder);
  addEventListener("themechange", () => width && render());
  figure.querySelector("figcaption").append(
    element("button", { type: "button", class: "save", "aria-label": `Save ${title} as SVG`, onclick: () => save(holder, id) }, "SVG"),
  );
  if (rows) figure.append(numbers(title, rows));
  return () => width && render();
}

function numbers(title, rows) {
  const details = element("details", {}, element("summary", {}, "Numbers"));
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const { columns, rows: lines } = rows();
    details.append(
      element("div", { class: "table", tabindex: 0, role: "region", "aria-label": title },
        element("table", {},
          element("thead", {}, element("tr", {}, ...columns.map((c) => element("th", { scope: "col" }, c)))),
          element("tbody", {}, ...lines.map((line) => element("tr", {}, ...line.map((v) => element("td", {}, v == null ? "–" : String(v)))))),
        )),
    );
  });
  return details;
}

// One file from what the figure shows; colours are written out, since a file has no style sheet.
function save(holder, name) {
  const parts = [...holder.querySelectorAll("svg")].filter((s) => !s.parentElement.closest("svg"));
  const c = colours();
  const xml = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  let height = 0;
  let width = 0;
  for (const part of parts) {
    const copy = part.cloneNode(true);
    copy.setAttribute("y", height);
    copy.setAttribute("color", c.ink);
    height += part.height.baseVal.value;
    width = Math.max(width, part.width.baseVal.value);
    xml.append(copy);
  }
  xml.setAttribute("width", width);
  xml.setAttribute("height", height);
  xml.setAttribute("color", c.ink);
  xml.setAttribute("font-family", "Inter, Helvetica, Arial, sans-serif");
  const backdrop = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [key, value] of Object.entries({ width, height, fill: c.paper })) backdrop.setAttribute(key, value);
  xml.prepend(backdrop);
  const file = new Blob([new XMLSerializer().serializeToString(xml)], { type: "image/svg+xml" });
  const anchor = element("a", { href: URL.createObjectURL(file), download: `${name}.svg` });
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 1000);
}
