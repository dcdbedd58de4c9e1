// One unit at a time: raster in nine ways, firing rate, autocorrelogram, waveform, amplitudes.

import { count, element, fixed, json, pageData, root, start } from "./common.js";
import { draw, plot } from "./figure.js";

const { Plot, d3 } = globalThis;
const middle = { labelAnchor: "center", labelArrow: "none" };
const EVENT = { stimulus: "stimulus onset", movement: "first movement", feedback: "feedback" };
const ORDER = { trial: "trial", contrast: "contrast", latency: "latency", feedback: "feedback" };
let unit;
let pair = ["stimulus", "trial"];
let redraw = [];

start(async () => {
  const { units, recording } = await pageData();
  const all = units.cluster;
  const best = all[d3.maxIndex(all, (_, i) => (units.label[i] ?? 0) * 1e9 + (units.n_spikes[i] ?? 0))];
  const wanted = () => (all.includes(Number(location.hash.slice(1))) && location.hash.length > 1 ? Number(location.hash.slice(1)) : best);
  const show = async () => {
    unit = await json(`${document.body.dataset.folder}${wanted()}.json`);
    texts(all);
    if (recording) document.getElementById("raw").replaceChildren(element("a", { href: `${root}${document.body.dataset.probe}#u=${unit.cluster}` }, "Its spikes in the raw voltage"));
    if (redraw.length) redraw.forEach((again) => again());
    else figures();
  };
  const turn = (step) => {
    location.hash = String(all[(all.indexOf(unit.cluster) + step + all.length) % all.length]);
  };
  document.getElementById("previous").addEventListener("click", () => turn(-1));
  document.getElementById("next").addEventListener("click", () => turn(1));
  document.getElementById("pair").addEventListener("change", (event) => {
    pair = event.target.value.split("/");
    redraw.forEach((again) => again());
  });
  addEventListener("hashchange", show);
  await show();
});

function texts(all) {
  const q = unit.quality;
  document.getElementById("which").textContent = `Unit ${unit.cluster}, ${all.indexOf(unit.cluster) + 1} of ${all.length}`;
  const fails = ["refractory period", "noise cut-off", "amplitude"].filter((_, bit) => (q.bitwise_fail >> bit) & 1);
  const facts = [["Label", fixed(q.label, 2)], ["Fails", fails.join(", ") || "none"], ["Depth", `${fixed(unit.depth, 0)} µm`], ...(unit.region ? [["Region", unit.region]] : []), ["Spikes", count(q.n_spikes)], ["Rate", `${fixed(q.firing_rate, 2)} Hz`],
    ["Amplitude", `${fixed(q.median_amplitude_uv, 0)} µV`], ["Contamination (Hill)", fixed(q.contamination, 3)], ["Below threshold", fixed(q.missed_spikes_est, 3)], ["Presence, 10 s", fixed(q.presence_ratio, 2)]];
  document.getElementById("facts").replaceChildren(element("dl", { class: "facts" }, ...facts.map(([k, v]) => element("div", {}, element("dt", {}, k), element("dd", {}, v)))));
  const code = document.querySelector(".code code");
  code.textContent = code.textContent.replace(/== \S+$/, `== ${unit.cluster}`);
  const select = document.getElementById("pair");
  select.replaceChildren(...(unit.pairs ?? []).map(([a, s]) => element("option", { value: `${a}/${s}`, selected: a === pair[0] && s === pair[1] }, `${EVENT[a]}, by ${ORDER[s]}`)));
  if (!unit.pairs) for (const id of ["raster", "psth", "pair"]) document.getElementById(id).closest("figure, label").hidden = true;
}

function figures() {
  redraw = [
    draw("autocorrelogram", autocorrelogram), draw("waveform", waveform), draw("amplitudes", amplitudes),
    ...(unit.rasters ? [draw("raster", raster), draw("psth", psth, () => psthTable())] : []),
  ];
}

// Rows of the raster put into the order asked for; each keeps its spikes.
function ordered() {
  const { time, row, ...columns } = unit.rasters[pair[0]];
  const rows = columns.trial.map((trial, i) => ({ trial, contrast: columns.contrast[i], correct: columns.correct[i], mark: columns.mark[i] }));
  const key = { trial: (r) => r.trial, contrast: (r) => r.contrast, latency: (r) => (r.mark == null ? Infinity : Math.abs(r.mark)), feedback: (r) => Number(r.correct) }[pair[1]];
  const order = d3.range(rows.length).sort((a, b) => key(rows[a]) - key(rows[b]) || a - b);
  const place = new Array(rows.length);
  order.forEach((from, to) => (place[from] = to));
  return { dots: time.map((t, i) => ({ t, y: place[row[i]], of: rows[row[i]] })), rows: order.map((i, y) => ({ ...rows[i], y })) };
}

const rowColour = (c, r) => (!r.correct ? c.error : r.contrast < 0 ? c.left : r.contrast > 0 ? c.right : c.even);

function raster(width, c) {
  const { dots, rows } = ordered();
  return [
    key([["left", "left, correct"], ["right", "right, correct"], ["error", "wrong"]]),
    plot(width, {
      height: 380, marginLeft: 58, x: { domain: [-1, 1], label: `Time from ${EVENT[pair[0]]} (s)`, ...middle }, y: { domain: [rows.length, 0], label: `Trials by ${ORDER[pair[1]]}`, ...middle, ticks: 5 },
      marks: [
        Plot.dot(dots, { x: "t", y: "y", r: 0.9, fill: (d) => rowColour(c, d.of) }),
        Plot.dot(rows.filter((r) => r.mark != null && Math.abs(r.mark) < 1), { x: "mark", y: "y", r: 0.9, fill: c.ink, symbol: "square" }),
        Plot.ruleX([0], { stroke: c.ink }),
        ...(pair[1] === "contrast" || pair[1] === "feedback" ? [Plot.rect(rows, { x1: () => 1.0, x2: () => 1.02, y1: "y", y2: (r) => r.y + 1, fill: (r) => rowColour(c, r), insetLeft: 3 })] : []),
      ],
    }),
  ];
}

const GROUPS = [["left", "left, correct"], ["right", "right, correct"], ["error", "wrong"], ["all", "all"]];

function psth(width, c) {
  const groups = unit.psth[pair[0]];
  const colour = { left: c.left, right: c.right, incorrect: c.error, all: c.ink };
  const points = Object.entries(groups).flatMap(([name, g]) => g.time.map((t, i) => ({ name, t, m: g.mean[i], e: g.error[i] ?? 0 }))).filter((p) => p.m != null);
  return [
    key(GROUPS),
    plot(width, {
      height: 380, marginLeft: 58, x: { domain: [-1, 1], label: `Time from ${EVENT[pair[0]]} (s)`, ...middle }, y: { label: "Firing rate (Hz)", ...middle, zero: true, nice: true },
      marks: [
        Plot.gridY({ stroke: c.faint, strokeOpacity: 1 }), Plot.ruleX([0], { stroke: c.ink }),
        Plot.areaY(points, { x: "t", y1: (p) => p.m - p.e, y2: (p) => p.m + p.e, z: "name", fill: (p) => colour[p.name], fillOpacity: 0.16 }),
        Plot.line(points, { x: "t", y: "m", z: "name", stroke: (p) => colour[p.name], strokeWidth: 1.5 }),
        Plot.tip(points, Plot.pointerX({ x: "t", y: "m", fill: c.paper, stroke: c.rule, title: (p) => `${p.name}: ${fixed(p.m, 1)} ± ${fixed(p.e, 1)} Hz` })),
      ],
    }),
  ];
}

const key = (items) => element("div", { class: "legend" }, ...items.map(([kind, text]) => element("label", {}, element("span", { class: `swatch ${kind === "error" ? "wrong" : kind}` }), text)));

const psthTable = () => {
  const groups = unit.psth[pair[0]];
  return { columns: ["Time (s)", ...Object.keys(groups)], rows: groups.all.time.map((t, i) => [fixed(t, 3), ...Object.values(groups).map((g) => fixed(g.mean[i], 2))]) };
};

function autocorrelogram(width, c) {
  const a = unit.autocorrelogram;
  const bars = a.lag.map((lag, i) => ({ lag, rate: a.rate[i] }));
  return plot(width, {
    height: 240, x: { domain: [-20, 20], label: "Lag (ms)", ...middle }, y: { label: "Rate (Hz)", ...middle, zero: true, nice: true, ticks: 4 },
    marks: [Plot.rectY(bars, { x1: (b) => b.lag - 0.1, x2: (b) => b.lag + 0.1, y: "rate", fill: c.accent }), Plot.ruleX([-1.5, 1.5], { stroke: c.muted, strokeDasharray: "3,3" }), Plot.ruleY([0], { stroke: c.muted })],
  });
}

// Each channel's waveform where it lies on the probe; without places, one below the other.
function waveform(width, c) {
  const w = unit.waveform;
  if (!w) return element("p", {}, "There are no waveforms for this unit.");
  const most = d3.max(w.value.flat(), Math.abs) || 1;
  const xs = w.x ?? w.channel.map(() => 0);
  const ys = w.y ?? w.channel.map((_, i) => -20 * i);
  const span = w.time.at(-1) - w.time[0];
  const lines = w.channel.flatMap((channel, k) => w.time.map((t, i) => ({ channel, x: xs[k] + ((t - w.time[0]) / span) * 14, y: ys[k] + (w.value[k][i] / most) * 22 })));
  return plot(width, {
    height: 250, marginLeft: 58, insetBottom: 20, x: { label: "Across the probe (µm)", ...middle, nice: true }, y: { label: "Depth (µm)", ...middle, nice: true, ticks: 4 },
    marks: [
      Plot.line(lines, { x: "x", y: "y", z: "channel", stroke: c.accent, strokeWidth: 1.6 }),
      Plot.text(w.channel.map((channel, k) => ({ channel, x: xs[k], y: ys[k] })), { x: "x", y: "y", dy: -9, text: "channel", fill: c.muted, fontSize: 10, textAnchor: "start" }),
      Plot.text([`largest ${fixed(most, 0)} µV, ${fixed(span, 1)} ms wide`], { frameAnchor: "bottom-right", fill: c.muted, fontSize: 11, dy: -4 }),
    ],
  });
}

function amplitudes(width, c) {
  const a = unit.amplitudes;
  const dots = a.time.map((t, i) => ({ t: t / 60, a: a.amplitude[i] }));
  return plot(width, {
    height: 190, marginLeft: 58, x: { label: "Time (min)", ...middle, nice: false }, y: { label: "Amplitude (µV)", ...middle, zero: true, nice: true, ticks: 4 },
    marks: [Plot.ruleY([50], { stroke: c.muted, strokeDasharray: "4,3" }), Plot.dot(dots, { x: "t", y: "a", r: 1.1, fill: c.accent, fillOpacity: 0.5 })],
  });
}
