// Which factors foretell training time: the paper's four panels, and what it left open.

import { count, element, fixed, json, nickname, root, start } from "./common.js";
import { draw, plot } from "./figure.js";

const { Plot, d3 } = globalThis;
const short = (feature) => shown.features.find((f) => f.name === feature)?.label ?? feature;
let shown;
let redraw = [];

start(async () => {
  const buttons = [...document.querySelectorAll("[data-cohort]")];
  const choose = async (name) => {
    shown = await json(`data/training-time/${name}.json`);
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.cohort === name));
    if (buttons.length > 1) history.replaceState(null, "", `#${name}`);
    texts(name);
    if (redraw.length) redraw.forEach((again) => again());
    else figures();
  };
  for (const button of buttons) button.addEventListener("click", () => choose(button.dataset.cohort));
  const wanted = location.hash.slice(1);
  await choose(buttons.some((b) => b.dataset.cohort === wanted) ? wanted : buttons[0].dataset.cohort);
});

function texts(name) {
  const r = shown;
  document.getElementById("synthetic").hidden = !r.synthetic;
  document.getElementById("statement").textContent = r.statement;
  const facts = [["Mice", `${r.cohort.n_used} of ${r.cohort.n_mice}`], ["Features", `${r.cohort.features_used.length} of ${r.features.length} (set ${r.feature_set})`],
    ["F1, all features", fixed(r.full.f1, 3)], ["F1, shuffled labels", fixed(r.shuffled.mean, 3)], ["Ratio", `${fixed(r.full.f1 / r.shuffled.mean, 2)} ×`], ["Seed", String(r.seed)]];
  document.getElementById("facts").replaceChildren(element("dl", { class: "facts" }, ...facts.map(([k, v]) => element("div", {}, element("dt", {}, k), element("dd", {}, v)))));
  document.getElementById("side").replaceChildren(table("The paper's numbers and this cohort's", ["Quantity", "Paper", "Here", "Note"], r.side_by_side.map((s) => [s.quantity, s.paper, s.here, s.note])));
  list("limits", r.not_comparable);
  list("notes", r.notes);
  document.getElementById("features").replaceChildren(table(`Feature set ${r.feature_set}`, ["Feature", "Definition", "In this cohort"], r.features.map((f) => [f.name, f.definition, f.used ? "yes" : "no: not recorded"])));
  document.getElementById("files").replaceChildren(...["json", "png", "svg"].map((kind) => element("li", {}, element("a", { href: `${root}data/training-time/${name}.${kind}` }, kind === "json" ? "Result as JSON" : `Figure as ${kind.toUpperCase()}`))));
}

const list = (id, lines) => document.getElementById(id).replaceChildren(...lines.map((line) => element("li", {}, line)));

function table(caption, heads, rows) {
  return element("div", { class: "table wraps", tabindex: 0, role: "region", "aria-label": caption },
    element("table", {}, element("caption", {}, caption),
      element("thead", {}, element("tr", {}, ...heads.map((h) => element("th", { scope: "col" }, h)))),
      element("tbody", {}, ...rows.map(([first, ...rest]) => element("tr", {}, element("th", { scope: "row" }, first), ...rest.map((v) => element("td", {}, v)))))));
}

function figures() {
  redraw = [
    draw("histogram", histogram, () => ({ columns: ["From (days)", "to", "Mice"], rows: bins().map((b) => [fixed(b.from, 1), fixed(b.to, 1), b.n]) })),
    draw("confusion", confusion, () => ({ columns: ["True", ...shown.quartiles.names.map((q) => `predicted ${q}`)], rows: shown.full.confusion.map((row, i) => [shown.quartiles.names[i], ...row.map((v) => fixed(v, 2))]) })),
    draw("scores", scores, () => ({ columns: ["Classifier", "F1", "Repeated: mean", "from", "to"], rows: groups().map((g) => [g.name, fixed(g.f1, 3), fixed(g.spread.mean, 3), fixed(g.spread.low, 3), fixed(g.spread.high, 3)]) })),
    draw("importance", (w, c) => boxes(w, c, shown.importance, shown.paper.importance), () => importances(shown.importance)),
    draw("held-out", (w, c) => boxes(w, c, shown.held_out_importance, null), () => importances(shown.held_out_importance)),
    draw("labs", labs, () => ({ columns: ["Lab", "Mice", "Right"], rows: shown.leave_one_lab_out.labs.map((l) => [l.lab, l.n, fixed(l.f1, 2)]) })),
    draw("models", models, () => ({ columns: ["Model", "F1", "from", "to", "Quartiles off", "Log loss"], rows: shown.models.map((m) => [m.model, fixed(m.f1.mean, 3), fixed(m.f1.low, 3), fixed(m.f1.high, 3), fixed(m.mean_quartiles_off.mean, 2), fixed(m.log_loss.mean, 2)]) })),
    draw("calibration", calibration, () => ({ columns: ["Mice", "Stated", "Right"], rows: shown.calibration.reliability.map((b) => [b.n, fixed(b.stated, 2), fixed(b.observed, 2)]) })),
    draw("learning", learning, () => ({ columns: ["Mouse", "Lab", "Training time (days)", "Performance change", "Quartile", "Held-out guess"], rows: shown.full.mice.map((m) => [nickname(m.subject), m.lab, m.training_time, fixed(m.perf_delta1, 3), m.quartile, m.held_out_guess]) })),
  ];
}

const middle = { labelAnchor: "center", labelArrow: "none" };

function bins() {
  const h = shown.cohort.training_time.histogram;
  return h.counts.map((n, i) => ({ n, from: h.edges[i], to: h.edges[i + 1] }));
}

const tint = (c, i) => d3.interpolateRgb(c.paper, c.accent)([0.95, 0.72, 0.5, 0.3][i]);
const quartileOf = (days) => d3.bisectLeft(shown.quartiles.edges, days);

function histogram(width, c) {
  const edges = shown.quartiles.edges;
  const most = d3.max(bins(), (b) => b.n);
  return plot(width, {
    height: 280, x: { label: "Training time (days)", ...middle, domain: [0, d3.max(bins(), (b) => b.to) + 1] }, y: { label: "Mice", ...middle, domain: [0, most * 1.16], ticks: 5 },
    marks: [
      Plot.gridY({ stroke: c.faint, strokeOpacity: 1, ticks: 5 }),
      Plot.rectY(bins(), { x1: "from", x2: "to", y: "n", fill: c.accent, insetLeft: 0.5, insetRight: 0.5 }),
      Plot.ruleX(edges, { stroke: c.ink, strokeDasharray: "4,3" }),
      Plot.text(edges, { x: (d) => d, y: most * 1.16, text: (d) => fixed(d, d % 1 ? 1 : 0), dx: 3, dy: 4, textAnchor: "start", fill: c.muted }),
      Plot.ruleY([0], { stroke: c.muted }),
      Plot.tip(bins(), Plot.pointerX({ x: (b) => (b.from + b.to) / 2, y: "n", fill: c.paper, stroke: c.rule, title: (b) => `${fixed(b.from, 0)} to ${fixed(b.to, 0)} days: ${b.n} mice` })),
    ],
  });
}

function confusion(width, c) {
  const names = shown.quartiles.names;
  const cells = shown.full.confusion.flatMap((row, i) => row.map((p, j) => ({ p, truth: names[i], guess: names[j], n: shown.full.confusion_counts[i][j], paper: shown.paper.confusion[i][j] })));
  return plot(width, {
    height: 280, marginLeft: 58, padding: 0.04, x: { type: "band", domain: names, label: "Predicted quartile", ...middle, tickSize: 0 }, y: { type: "band", domain: names, label: "True quartile", ...middle, tickSize: 0 },
    color: { type: "linear", domain: [0, 0.75], range: [c.faint, c.accent], clamp: true },
    marks: [
      Plot.cell(cells, { x: "guess", y: "truth", fill: "p", rx: 3 }),
      Plot.text(cells, { x: "guess", y: "truth", text: (d) => fixed(d.p, 2), fontSize: 15, fontWeight: 560, dy: -6, fill: (d) => (d.p > 0.36 ? c.paper : c.ink) }),
      Plot.text(cells, { x: "guess", y: "truth", text: (d) => `paper ${fixed(d.paper, 2)}`, fontSize: 10, dy: 12, fill: (d) => (d.p > 0.36 ? c.paper : c.muted) }),
    ],
  });
}

// Each classifier with labels as they are, and beside it with shuffled ones.
function groups() {
  const r = shown;
  const found = [
    { name: "All features", f1: r.full.f1, spread: r.repeated.full, paper: r.paper.f1 },
    { name: "All, shuffled", f1: r.shuffled.mean, spread: r.shuffled, paper: d3.mean(r.paper.f1_shuffled), shuffled: true },
  ];
  if (r.performance_change_only) found.push(
    { name: "Change only", f1: r.performance_change_only.f1, spread: r.repeated.performance_change_only, paper: r.paper.f1_performance_change },
    { name: "Change, shuffled", f1: r.shuffled_performance_change.mean, spread: r.shuffled_performance_change, paper: null, shuffled: true });
  return found;
}

function scores(width, c) {
  const all = groups();
  const box = (g) => ({ ...g, q: [0.25, 0.5, 0.75].map((p) => d3.quantile([...g.spread.values].sort(d3.ascending), p)), min: d3.min(g.spread.values), max: d3.max(g.spread.values) });
  const boxes = all.map(box);
  const tint_ = (g) => (g.shuffled ? c.even : c.accent);
  return plot(width, {
    height: 280, marginBottom: 46, x: { type: "band", domain: all.map((g) => g.name), label: null, tickSize: 0, padding: 0.3, tickFormat: (name) => name.replace(", ", "\n") }, y: { domain: [0, 0.65], label: "F1", ...middle, ticks: 5 },
    marks: [
      Plot.gridY({ stroke: c.faint, strokeOpacity: 1, ticks: 5 }), Plot.ruleY([0.25], { stroke: c.muted, strokeDasharray: "3,3" }),
      Plot.ruleX(boxes, { x: "name", y1: "min", y2: "max", stroke: tint_ }),
      Plot.barY(boxes, { x: "name", y1: (g) => g.q[0], y2: (g) => g.q[2], fill: tint_ }),
      Plot.tickY(boxes, { x: "name", y: (g) => g.q[1], stroke: c.paper, strokeWidth: 2 }),
      Plot.dot(boxes.filter((g) => g.paper != null), { x: "name", y: "paper", symbol: "diamond", r: 5, fill: c.paper, stroke: c.ink, strokeWidth: 1.4 }),
      Plot.tip(boxes, Plot.pointerX({ x: "name", y: (g) => g.q[1], fill: c.paper, stroke: c.rule, title: (g) => `${g.name}\nmean ${fixed(g.spread.mean, 3)} (${fixed(g.min, 3)} to ${fixed(g.max, 3)})${g.paper == null ? "" : `\npaper ${fixed(g.paper, 3)}`}` })),
    ],
  });
}

function boxes(width, c, features, paper) {
  const top = features;
  const stats = top.map((f) => ({ feature: f.feature, q: [0.25, 0.5, 0.75].map((p) => d3.quantile([...f.values].sort(d3.ascending), p)), min: f.min, max: f.max, mean: f.mean }));
  const marks = paper ? top.filter((f) => paper[f.feature]).map((f) => ({ feature: f.feature, v: paper[f.feature][1] })) : [];
  return plot(width, {
    height: 34 + 19 * top.length + 30, marginLeft: 156, x: { label: "Drop of F1", ...middle, ticks: 5, nice: true }, y: { domain: top.map((f) => f.feature), tickFormat: short, label: null, tickSize: 0, padding: 0.3 },
    marks: [
      Plot.gridX({ stroke: c.faint, strokeOpacity: 1, ticks: 5 }), Plot.ruleX([0], { stroke: c.muted }),
      Plot.ruleY(stats, { x1: "min", x2: "max", y: "feature", stroke: c.accent }),
      Plot.barX(stats, { x1: (s) => s.q[0], x2: (s) => s.q[2], y: "feature", fill: c.accent }),
      Plot.tickX(stats, { x: (s) => s.q[1], y: "feature", stroke: c.paper, strokeWidth: 2 }),
      Plot.dot(marks, { x: "v", y: "feature", symbol: "diamond", r: 5, fill: c.paper, stroke: c.ink, strokeWidth: 1.4 }),
      Plot.tip(stats, Plot.pointerY({ x: (s) => s.q[1], y: "feature", fill: c.paper, stroke: c.rule, title: (s) => `${s.feature}\nmean ${fixed(s.mean, 3)} (${fixed(s.min, 3)} to ${fixed(s.max, 3)})` })),
    ],
  });
}

const importances = (features) => ({ columns: ["Feature", "Mean drop of F1", "from", "to"], rows: features.map((f) => [f.feature, fixed(f.mean, 4), fixed(f.low, 4), fixed(f.high, 4)]) });

function labs(width, c) {
  const all = [...shown.leave_one_lab_out.labs].sort((a, b) => b.f1 - a.f1);
  if (!all.length) return element("p", {}, "There is only one laboratory.");
  return plot(width, {
    height: 40 + 24 * all.length, marginLeft: 156, x: { domain: [0, 1], label: "Fraction right", ...middle, ticks: 5 }, y: { domain: all.map((l) => l.lab), label: null, tickSize: 0 },
    marks: [
      Plot.gridX({ stroke: c.faint, strokeOpacity: 1, ticks: 5 }), Plot.ruleX([0.25], { stroke: c.muted, strokeDasharray: "3,3" }), Plot.ruleX([shown.leave_one_lab_out.f1], { stroke: c.accent, strokeWidth: 1.4 }),
      Plot.dot(all, { x: "f1", y: "lab", r: (l) => Math.sqrt(l.n) + 1.5, fill: c.accent, fillOpacity: 0.85 }),
      Plot.text(all, { x: "f1", y: "lab", text: (l) => `${count(l.n)} mice`, textAnchor: "start", dx: 11, fill: c.muted, stroke: c.paper, strokeWidth: 4, fontSize: 11 }),
    ],
  });
}

function models(width, c) {
  const all = shown.models;
  return plot(width, {
    height: 60 + 42 * all.length, marginLeft: 178, x: { domain: [0.15, 0.6], label: "F1", ...middle, ticks: 5 }, y: { domain: all.map((m) => m.model), label: null, tickSize: 0 },
    marks: [
      Plot.gridX({ stroke: c.faint, strokeOpacity: 1, ticks: 5 }), Plot.ruleX([shown.shuffled.mean], { stroke: c.muted, strokeDasharray: "3,3" }),
      Plot.ruleY(all, { x1: (m) => m.f1.low, x2: (m) => m.f1.high, y: "model", stroke: c.ink, strokeWidth: 1.6 }),
      Plot.dot(all, { x: (m) => m.f1.mean, y: "model", r: 5, fill: c.accent, stroke: c.paper }),
      Plot.text(all, { x: (m) => m.f1.high, y: "model", dx: 8, textAnchor: "start", fill: c.muted, fontSize: 11, text: (m) => `log loss ${fixed(m.log_loss.mean, 2)}` }),
    ],
  });
}

function calibration(width, c) {
  const points = shown.calibration.reliability;
  return plot(width, {
    height: 260, x: { domain: [0.2, 0.9], label: "Stated probability", ...middle, ticks: 5 }, y: { domain: [0, 1], label: "Right", ...middle, ticks: 5 },
    marks: [
      Plot.line([[0.2, 0.2], [0.9, 0.9]], { stroke: c.rule }),
      Plot.ruleX(points, { x: "stated", y1: (p) => p.observed - Math.sqrt((p.observed * (1 - p.observed)) / p.n), y2: (p) => p.observed + Math.sqrt((p.observed * (1 - p.observed)) / p.n), stroke: c.accent }),
      Plot.dot(points, { x: "stated", y: "observed", r: 5, fill: c.accent, stroke: c.paper }),
      Plot.tip(points, Plot.pointer({ x: "stated", y: "observed", fill: c.paper, stroke: c.rule, title: (p) => `${p.n} mice\nstated ${fixed(p.stated, 2)}, right ${fixed(p.observed, 2)}` })),
    ],
  });
}

function learning(width, c) {
  const mice = shown.full.mice.filter((m) => m.perf_delta1 != null).map((m) => ({ ...m, q: quartileOf(m.training_time), right: m.quartile === m.held_out_guess }));
  return plot(width, {
    height: 300, marginTop: 26, x: { label: "Change of easy performance, day 1 to 5", ...middle, tickFormat: "+.1f" }, y: { label: "Training time (days)", ...middle, nice: true, zero: true, grid: false },
    marks: [
      Plot.gridY({ stroke: c.faint, strokeOpacity: 1 }), Plot.ruleX([0], { stroke: c.rule }),
      Plot.dot(mice, { x: "perf_delta1", y: "training_time", r: 4, fill: (m) => tint(c, m.q), stroke: (m) => (m.right ? c.ink : "none"), strokeWidth: 1 }),
      Plot.text(["filled darker: faster quartile; ringed: predicted right"], { frameAnchor: "top-right", dy: -16, fill: c.muted, fontSize: 11 }),
      Plot.tip(mice, Plot.pointer({ x: "perf_delta1", y: "training_time", fill: c.paper, stroke: c.rule, title: (m) => `${nickname(m.subject)} (${m.lab})\n${count(m.training_time)} days, ${m.quartile}\npredicted ${m.held_out_guess}` })),
    ],
  });
}
