// One probe: drift, all spikes around a trial, responses by depth, quality of the units.

import { count, element, fixed, pageData, picture, root, start } from "./common.js";
import { colourBar, draw, plot } from "./figure.js";

const { Plot } = globalThis;
const middle = { labelAnchor: "center", labelArrow: "none" };

start(async () => {
  const data = await pageData();
  const units = data.units.cluster.map((cluster, i) => Object.fromEntries([["cluster", cluster], ...Object.entries(data.units).map(([k, v]) => [k, v[i]])]));
  const image = await picture(document.body.dataset.image);
  draw("drift", (width, c) => drift(width, c, data.drift, image));
  draw("example", (width, c) => example(width, c, data.example, data.drift.depth));
  if (data.peth) draw("peth", (width, c) => peth(width, c, data.peth, data.drift.depth));
  draw("units", (width, c) => scatter(width, c, units), () => ({ columns: ["Unit", "Depth (µm)", "Amplitude (µV)", "Rate (Hz)"], rows: units.map((u) => [u.cluster, fixed(u.depth, 0), fixed(u.median_amplitude_uv, 0), fixed(u.firing_rate, 1)]) }));
  quality(units);
  if (data.recording) {
    const { showRecording } = await import("./recording.js");
    await showRecording(data.recording, data.units);
  }
});

const address = (cluster) => `${root}${document.body.dataset.units}#${cluster}`;

function drift(width, c, axes, image) {
  const [t0, t1] = axes.time.map((t) => t / 60);
  const made = plot(width, {
    height: 380, marginLeft: 58, x: { domain: [t0, t1], label: "Time (min)", ...middle }, y: { domain: axes.depth, label: "Depth (µm)", ...middle },
    marks: [Plot.frame({ stroke: c.rule }), Plot.rect([0], { x1: () => t0, x2: () => t1, y1: () => axes.depth[0], y2: () => axes.depth[1], fill: "none" })],
  });
  // The picture is black on clear; in the dark its light is turned round.
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "image");
  const box = { href: image, x: 58, y: 20, width: width - 72, height: 380 - 58, preserveAspectRatio: "none" };
  for (const [key, value] of Object.entries(box)) picture.setAttribute(key, value);
  picture.classList.add("ink");
  made.append(picture);
  const shade = globalThis.d3.interpolateRgb(c.paper, c.ink);
  return [colourBar(`spikes in ${fixed(axes.time_bin, 0)} s × 20 µm`, "0", count(Math.round(axes.most)), (f) => shade(Math.log1p(f * axes.most) / Math.log1p(axes.most))), made];
}

function example(width, c, spikes, depth) {
  const dots = spikes.time.map((t, i) => ({ t: t - spikes.start - 1.5, d: spikes.depth[i], a: spikes.amplitude[i] }));
  const events = Object.entries(spikes.events).filter(([, t]) => t != null).map(([name, t]) => ({ name, t: t - spikes.start - 1.5 }));
  const span = [-1.5, spikes.end - spikes.start - 1.5];
  const shade = globalThis.d3.interpolateRgb(c.rule, c.ink);
  return [colourBar("amplitude (µV)", "0", "250", shade), plot(width, {
    height: 400, marginLeft: 58, marginTop: 34, x: { domain: span, label: "Time from the stimulus (s)", ...middle }, y: { domain: depth, label: "Depth (µm)", ...middle },
    color: { type: "linear", domain: [0, 250], range: [c.rule, c.ink], clamp: true },
    marks: [
      Plot.ruleX(events, { x: "t", stroke: c.accent, strokeWidth: 1.2 }),
      Plot.dot(dots, { x: "t", y: "d", r: 1, fill: "a" }),
      ...events.map((e, i) => Plot.text([e], { x: "t", y: depth[1], dy: -6 - 11 * (events.length - 1 - i), dx: 3, text: "name", textAnchor: "start", fill: c.accent, fontSize: 11 })),
    ],
  })];
}

function peth(width, c, map, depth) {
  const step = map.time[1] - map.time[0];
  const high = map.depth.length > 1 ? map.depth[1] - map.depth[0] : 80;
  const most = Math.max(3, globalThis.d3.quantile(map.z.flat().filter((z) => z != null).map(Math.abs).sort(globalThis.d3.ascending), 0.98) ?? 3);
  const paint = globalThis.d3.piecewise(globalThis.d3.interpolateRgb, [c.left, c.faint, c.right]);
  const cells = map.depth.flatMap((d, i) => map.time.map((t, j) => ({ t, d, z: map.z[i][j] }))).filter((x) => x.z != null);
  return [colourBar("standard deviations", `−${fixed(most, 0)}`, fixed(most, 0), paint), plot(width, {
    height: 400, marginLeft: 58, marginTop: 34, x: { domain: [map.time[0] - step / 2, map.time.at(-1) + step / 2], label: "Time from the stimulus (s)", ...middle }, y: { domain: depth, label: "Depth (µm)", ...middle },
    marks: [
      Plot.rect(cells, { x1: (x) => x.t - step / 2, x2: (x) => x.t + step / 2, y1: "d", y2: (x) => x.d + high, fill: (x) => paint((Math.max(-most, Math.min(most, x.z)) + most) / (2 * most)), shapeRendering: "crispEdges" }),
      Plot.ruleX([0], { stroke: c.ink }),
    ],
  })];
}

function scatter(width, c, units) {
  const good = (u) => u.label >= 1;
  const tip = (u) => `unit ${u.cluster}\n${fixed(u.depth, 0)} µm, ${fixed(u.median_amplitude_uv, 0)} µV\n${fixed(u.firing_rate, 1)} Hz, label ${fixed(u.label, 2)}`;
  const marks = (x) => [
    Plot.dot(units, { x, y: "depth", r: 4, fill: (u) => (good(u) ? c.accent : "none"), stroke: c.accent, href: (u) => address(u.cluster), ariaLabel: (u) => `Unit ${u.cluster}` }),
    Plot.tip(units, Plot.pointer({ x, y: "depth", fill: c.paper, stroke: c.rule, title: tip })),
  ];
  const half = width < 640 ? width : Math.floor(width / 2) - 10;
  const y = { label: "Depth (µm)", ...middle, nice: true };
  const made = [
    plot(half, { height: 300, marginLeft: 58, x: { label: "Amplitude (µV)", ...middle, zero: true, nice: true }, y, marks: [Plot.ruleX([50], { stroke: c.muted, strokeDasharray: "4,3" }), ...marks("median_amplitude_uv")], ariaLabel: "Depth and amplitude of the units" }),
    plot(half, { height: 300, marginLeft: 58, x: { label: "Firing rate (Hz)", ...middle, type: "symlog", domain: [0, Math.max(1, ...units.map((u) => u.firing_rate ?? 0)) * 1.1], ticks: [0, 1, 10, 100], tickFormat: String }, y, marks: marks("firing_rate"), ariaLabel: "Depth and firing rate of the units" }),
  ];
  for (const svg of made) svg.setAttribute("role", "group");
  return element("div", { class: "side" }, ...made);
}

function quality(units) {
  const columns = [
    ["cluster", "Unit", (u) => element("a", { href: address(u.cluster) }, String(u.cluster))],
    ["label", "Label", (u) => fixed(u.label, 2)],
    ["depth", "Depth (µm)", (u) => fixed(u.depth, 0)],
    ...(units.some((u) => u.region) ? [["region", "Region", (u) => u.region ?? "–"]] : []),
    ["n_spikes", "Spikes", (u) => count(u.n_spikes)],
    ["firing_rate", "Rate (Hz)", (u) => fixed(u.firing_rate, 2)],
    ["median_amplitude_uv", "Amplitude (µV)", (u) => fixed(u.median_amplitude_uv, 0)],
    ["sliding_rp_confidence", "Refractory confidence", (u) => fixed(u.sliding_rp_confidence, 2)],
    ["noise_cutoff", "Noise cut-off", (u) => fixed(u.noise_cutoff, 1)],
    ["contamination", "Contamination (Hill)", (u) => fixed(u.contamination, 3)],
    ["missed_spikes_est", "Below threshold", (u) => fixed(u.missed_spikes_est, 3)],
    ["presence_ratio", "Presence, 10 s", (u) => fixed(u.presence_ratio, 2)],
    ["drift", "Depth travelled (µm/h)", (u) => fixed(u.drift, 0)],
  ];
  let [by, direction] = ["label", -1];
  const heads = columns.map(([name, label], i) => element("th", { scope: "col", class: i ? "num" : null }, element("button", { type: "button", onclick: () => sort(name) }, label)));
  const body = element("tbody");
  const only = element("input", { type: "checkbox", onchange: () => show() });
  const show = () => {
    const rows = units.filter((u) => !only.checked || u.label >= 1).sort((a, b) => (a[by] == null) - (b[by] == null) || direction * (typeof a[by] === "string" ? a[by].localeCompare(b[by]) : a[by] - b[by]) || a.cluster - b.cluster);
    body.replaceChildren(...rows.map((u) => element("tr", {}, ...columns.map(([, , cell], i) => element(i ? "td" : "th", i ? { class: "num" } : { scope: "row" }, cell(u))))));
    columns.forEach(([name], i) => (name === by ? heads[i].setAttribute("aria-sort", direction > 0 ? "ascending" : "descending") : heads[i].removeAttribute("aria-sort")));
  };
  const sort = (name) => {
    [by, direction] = [name, by === name ? -direction : 1];
    show();
  };
  document.getElementById("list").append(
    element("div", { class: "legend" }, element("label", {}, only, "Good units only")),
    element("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Quality of the units" }, element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body)));
  show();
}
