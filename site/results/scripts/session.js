// One session: choices and reaction times by contrast and block, and every trial.

import { element, fixed, pageData, percent, start } from "./common.js";
import { blockColour, draw, plot } from "./figure.js";

const { Plot } = globalThis;

start(async () => {
  const data = await pageData();
  if (data.film) {
    const { showFilms } = await import("./film.js");
    showFilms(data.film);
  }
  if (!data.blocks) return;
  const shown = new Set(data.blocks.map((b) => b.probability_left));
  const redraw = [];
  legend(data.blocks, shown, () => redraw.forEach((again) => again()));
  const blocks = () => data.blocks.filter((b) => shown.has(b.probability_left));
  redraw.push(
    draw("psychometric", (width, c) => psychometric(width, c, blocks()), () => choicesTable(data)),
    draw("chronometric", (width, c) => chronometric(width, c, blocks()), () => timesTable(data)),
  );
  draw("timeline", (width, c) => timeline(width, c, data), () => trialsTable(data.trials));
});

const name = (block, all) => (all.length === 1 ? "All trials" : `P(left) = ${block.probability_left}`);

function legend(blocks, shown, changed) {
  const holder = document.getElementById("blocks");
  if (blocks.length === 1) return;
  for (const block of blocks) {
    const p = block.probability_left;
    const side = p === 0.2 ? " right" : p === 0.8 ? " left" : "";
    const box = element("input", { type: "checkbox", checked: true, onchange: () => {
      if (box.checked) shown.add(p);
      else shown.delete(p);
      changed();
    } });
    holder.append(element("label", {}, box, element("span", { class: `swatch${side}` }), `P(left) = ${p}`));
  }
}

const contrastAxis = { domain: [-104, 104], ticks: [-100, -50, 0, 50, 100], label: "← left   Contrast (%)   right →", labelAnchor: "center", labelArrow: "none" };

function psychometric(width, c, blocks) {
  const points = blocks.flatMap(({ probability_left: p, psychometric: f }) =>
    f.contrasts.map((x, i) => ({ p, x, y: f.p_right[i], low: f.low[i], high: f.high[i], n: f.n[i] })));
  const curves = blocks.flatMap(({ probability_left: p, psychometric: f }) =>
    f.curve.y.map((y, i) => ({ p, x: f.curve.x[i], y })));
  return plot(width, {
    height: Math.min(340, Math.max(240, width * 0.66)),
    x: contrastAxis,
    y: { domain: [0, 1], ticks: [0, 0.5, 1], tickFormat: (v) => String(v), label: "Fraction of choices to the right", labelAnchor: "center", labelArrow: "none" },
    marks: [
      Plot.ruleY([0.5], { stroke: c.rule }),
      Plot.ruleX([0], { stroke: c.rule }),
      Plot.line(curves, { x: "x", y: "y", z: "p", stroke: (d) => blockColour(c, d.p), strokeWidth: 1.8 }),
      Plot.ruleX(points, { x: "x", y1: "low", y2: "high", stroke: (d) => blockColour(c, d.p) }),
      Plot.dot(points, { x: "x", y: "y", r: 3.4, fill: (d) => blockColour(c, d.p), stroke: c.paper, strokeWidth: 0.8 }),
      Plot.text(blocks.some((b) => b.psychometric.doubt) ? [blocks.length > 1 ? "points without a curve: not determined" : "no curve: not determined"] : [], { frameAnchor: "top-left", dx: 4, dy: -14, fill: c.muted, fontSize: 11 }),
      Plot.tip(points, Plot.pointer({ x: "x", y: "y", fill: c.paper, stroke: c.rule, title: (d) =>
        `contrast ${d.x} %\n${percent(d.y)} right (${percent(d.low)} to ${percent(d.high)})\n${d.n} trials` })),
    ],
  });
}

function chronometric(width, c, blocks) {
  const points = blocks.flatMap(({ probability_left: p, chronometric: f }) =>
    f.contrasts.map((x, i) => ({ p, x, y: f.median[i], low: f.low[i], high: f.high[i], n: f.n[i] })))
    .filter((d) => d.y != null);
  return plot(width, {
    height: Math.min(340, Math.max(240, width * 0.66)),
    x: contrastAxis,
    y: { domain: [0, Math.max(0.5, ...points.map((d) => d.high)) * 1.05], nice: true, ticks: 5, label: "Reaction time (s)", labelAnchor: "center", labelArrow: "none" },
    marks: [
      Plot.ruleX([0], { stroke: c.rule }),
      Plot.line(points, { x: "x", y: "y", z: "p", stroke: (d) => blockColour(c, d.p), strokeWidth: 1.4 }),
      Plot.ruleX(points, { x: "x", y1: "low", y2: "high", stroke: (d) => blockColour(c, d.p) }),
      Plot.dot(points, { x: "x", y: "y", r: 3.4, fill: (d) => blockColour(c, d.p), stroke: c.paper, strokeWidth: 0.8 }),
      Plot.tip(points, Plot.pointer({ x: "x", y: "y", fill: c.paper, stroke: c.rule, title: (d) =>
        `contrast ${d.x} %\nmedian ${fixed(d.y, 2)} s (${fixed(d.low, 2)} to ${fixed(d.high, 2)})\n${d.n} trials` })),
    ],
  });
}

function timeline(width, c, data) {
  const t = data.trials;
  const trials = t.rt.map((rt, i) => ({
    trial: i + 1, rt: rt > 0 ? Math.min(Math.max(rt, 0.1), 100) : null, exact: rt, correct: t.feedback[i] === 1, choice: t.choice[i], contrast: t.contrast[i],
    pLeft: t.p_left[i], rolling: t.rt_rolling[i], fraction: t.correct_rolling[i],
  }));
  const x = { domain: [0, trials.length + 1], label: null };
  const timed = trials.filter((d) => d.rt != null);
  const biased = data.blocks.length > 1;
  const answer = (d) => `trial ${d.trial}: contrast ${d.contrast} %\n${d.choice === 0 ? "no answer" : d.choice < 0 ? "right" : "left"}, ${d.correct ? "correct" : "wrong"}, ${fixed(d.exact, 2)} s`;
  const times = plot(width, {
    height: 250, marginBottom: 8, x: { ...x, ticks: [] },
    y: { type: "log", domain: [0.1, 100], ticks: [0.1, 1, 10, 100], tickFormat: (v) => String(v), label: "Reaction time (s)", labelAnchor: "center", labelArrow: "none" },
    ariaLabel: "Reaction time of each trial and its rolling median",
    marks: [
      Plot.gridY([0.1, 1, 10, 100], { stroke: c.faint, strokeOpacity: 1 }),
      Plot.dot(timed.filter((d) => d.correct), { x: "trial", y: "rt", r: 1.9, fill: c.correct, fillOpacity: 0.65 }),
      Plot.dot(timed.filter((d) => !d.correct), { x: "trial", y: "rt", r: 2.1, stroke: c.error, strokeWidth: 1.1 }),
      Plot.line(trials, { x: "trial", y: "rolling", stroke: c.ink, strokeWidth: 1.6, curve: "monotone-x" }),
      Plot.tip(timed, Plot.pointer({ x: "trial", y: "rt", fill: c.paper, stroke: c.rule, title: answer })),
    ],
  });
  const fraction = plot(width, {
    height: 110, marginTop: 10, marginBottom: biased ? 8 : 36, x: biased ? { ...x, ticks: [] } : { ...x, label: "Trial", labelAnchor: "center", labelArrow: "none" },
    y: { domain: [0, 1], ticks: [0, 0.5, 1], label: "Correct", labelAnchor: "center", labelArrow: "none" },
    ariaLabel: "Fraction correct over thirty trials",
    marks: [
      Plot.ruleY([0.5], { stroke: c.rule }),
      Plot.line(trials, { x: "trial", y: "fraction", stroke: c.ink, strokeWidth: 1.6 }),
      Plot.tip(trials.filter((d) => d.fraction != null), Plot.pointerX({ x: "trial", y: "fraction", fill: c.paper, stroke: c.rule, title: (d) => `trials ${Math.max(1, d.trial - 29)} to ${d.trial}: ${percent(d.fraction)} correct` })),
    ],
  });
  const strip = biased && plot(width, {
    height: 62, marginTop: 6, marginBottom: 36, x: { ...x, label: "Trial", labelAnchor: "center", labelArrow: "none" }, y: { axis: null },
    ariaLabel: "Probability of a stimulus on the left, block by block",
    marks: [
      Plot.rectX(runs(t.p_left), { x1: "from", x2: "to", fill: (d) => blockColour(c, d.p), fillOpacity: 0.85, insetLeft: 0.5, insetRight: 0.5 }),
      Plot.text(runs(t.p_left), { x: (d) => (d.from + d.to) / 2, text: (d) => (d.to - d.from > trials.length / 40 ? String(d.p) : ""), fill: c.paper, fontWeight: 600, fontSize: 10 }),
    ],
  });
  return [key(), times, fraction, strip];
}

function key() {
  return element("div", { class: "legend" },
    element("span", { class: "visually-hidden" }, "Legend:"),
    ...[["correct", "correct"], ["error", "wrong"]].map(([kind, text]) =>
      element("label", {}, element("span", { class: `swatch dot ${kind}` }), text)));
}

function runs(values) {
  const found = [];
  values.forEach((p, i) => {
    const last = found.at(-1);
    if (last && last.p === p) last.to = i + 1.5;
    else found.push({ p, from: i + 0.5, to: i + 1.5 });
  });
  return found;
}

const choicesTable = (data) => ({
  columns: ["Block", "Contrast (%)", "Trials", "Fraction right", "from", "to"],
  rows: data.blocks.flatMap((b) => b.psychometric.contrasts.map((x, i) => [
    name(b, data.blocks), x, b.psychometric.n[i], fixed(b.psychometric.p_right[i], 3), fixed(b.psychometric.low[i], 3), fixed(b.psychometric.high[i], 3)])),
});

const timesTable = (data) => ({
  columns: ["Block", "Contrast (%)", "Trials", "Median (s)", "from", "to"],
  rows: data.blocks.flatMap((b) => b.chronometric.contrasts.map((x, i) => [
    name(b, data.blocks), x, b.chronometric.n[i], fixed(b.chronometric.median[i], 3), fixed(b.chronometric.low[i], 3), fixed(b.chronometric.high[i], 3)])),
});

const trialsTable = (t) => ({
  columns: ["Trial", "Contrast (%)", "P(left)", "Choice", "Feedback", "Reaction time (s)"],
  rows: t.rt.map((rt, i) => [i + 1, t.contrast[i], t.p_left[i], { "-1": "right", 0: "none", 1: "left" }[t.choice[i]], t.feedback[i] === 1 ? "correct" : "wrong", fixed(rt, 3)]),
});
