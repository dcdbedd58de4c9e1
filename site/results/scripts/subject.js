// One subject: status, training, choices and fits day by day on one calendar.

import { count, element, fixed, link, pageData, percent, sessionPage, start, statusName } from "./common.js";
import { choiceScale, draw, plot as drawn, statusColour } from "./figure.js";
import { member } from "./member.js";

const { Plot, d3 } = globalThis;
const DAY = 864e5;
const plot = (width, options) => drawn(width, { marginLeft: 66, ...options });
const utc = (date) => new Date(`${date}T00:00:00Z`);

start(async () => {
  const data = await pageData();
  const days = data.days.map((day) => ({ ...day, at: utc(day.date) }));
  const span = [new Date(days[0].at - DAY), new Date(+days.at(-1).at + 2 * DAY)];
  const marks = milestones(data, span);
  draw("status", (width, c) => statusBand(width, c, data, days, span, marks), () => ({
    columns: ["Status", "First reached"], rows: data.first.map((f) => [statusName(f.status), f.date]) }));
  draw("training", (width, c) => training(width, c, days, span, marks), () => table(days));
  draw("performance", (width, c) => performance(width, c, days, span, marks), () => table(days));
  draw("heatmap", (width, c) => heatmap(width, c, data.heatmap, span), () => ({
    columns: ["Contrast (%)", ...data.heatmap.dates],
    rows: data.heatmap.contrasts.map((x, i) => [x, ...data.heatmap.p_right[i].map((p) => fixed(p, 2))]) }));
  draw("parameters", (width, c) => parameters(width, c, days, span, marks), () => table(days));
  criteria(data.next);
  sessions(days);
  member(document.getElementById("member"), data.subject);
});

// The calendar that all figures of the page share.
const calendar = (span, last, label = "Date") => ({
  type: "utc", domain: span, label: last ? label : null, labelAnchor: "center", labelArrow: "none", ...(last ? {} : { axis: null }),
});

function milestones(data, span) {
  const found = data.first.slice(1).map((f) => ({ at: utc(f.date), label: statusName(f.status) }));
  const rig = data.days.find((d) => d.ephys_rig);
  if (rig) found.push({ at: utc(rig.date), label: "First day on the ephys rig" });
  if (data.subject.birth_date) {
    const age = new Date(+utc(data.subject.birth_date) + 210 * DAY);
    if (age > span[0] && age < span[1]) found.push({ at: age, label: "Seven months old" });
  }
  return found;
}

const milestoneRules = (marks, c) => Plot.ruleX(marks, { x: "at", stroke: c.muted, strokeDasharray: "2,3", strokeWidth: 1 });

function mondays(span, c) {
  const all = d3.utcMonday.range(...span);
  return all.length > 60 ? null : Plot.ruleX(all, { stroke: c.faint });
}

function statusBand(width, c, data, days, span, marks) {
  const bands = data.first.map((f, i) => ({ status: f.status, from: utc(f.date), to: i + 1 < data.first.length ? utc(data.first[i + 1].date) : span[1] }));
  const wide = (b) => (b.to - b.from) / (span[1] - span[0]) * width > 7.2 * statusName(b.status).length;
  const good = days.filter((d) => d.good_enough);
  return plot(width, {
    height: 86, marginTop: 26, marginBottom: 30, x: calendar(span, true, null), y: { axis: null, domain: [0, 1] },
    ariaLabel: `Status over time, now ${statusName(data.status) || "not judged"}`,
    marks: [
      Plot.rect(bands, { x1: "from", x2: "to", y1: 0, y2: 1, fill: (b) => statusColour(c, b.status), insetRight: 1, title: (b) => `${statusName(b.status)} since ${b.from.toISOString().slice(0, 10)}` }),
      Plot.text(bands.filter(wide), { x: (b) => new Date((+b.from + +b.to) / 2), y: 0.5, text: (b) => statusName(b.status), fill: (b) => readable(statusColour(c, b.status)), fontWeight: 560 }),
      Plot.dot(good, { x: "at", y: 0.08, r: 2.2, fill: c.paper, title: () => "Good enough for the brain-wide map" }),
      milestoneRules(marks, c),
      Plot.text(spread(marks, span, width), { x: "at", y: 1, dy: -10, text: "label", textAnchor: "start", dx: -2, fill: c.muted, fontSize: 11 }),
    ],
  });
}

// Labels of milestones that would overlap are left out of the picture; the table has them all.
function spread(marks, span, width) {
  const kept = [];
  let free = -Infinity;
  for (const mark of [...marks].sort((a, b) => a.at - b.at)) {
    const x = 66 + ((mark.at - span[0]) / (span[1] - span[0])) * (width - 80);
    if (x < free || x + 6 * mark.label.length > width) continue;
    kept.push(mark);
    free = x + 6.4 * mark.label.length + 8;
  }
  return kept;
}

const readable = (background) => (d3.lab(background).l > 62 ? "#14191d" : "#ffffff");

function training(width, c, days, span, marks) {
  const known = days.filter((d) => d.n_trials != null);
  const tip = (d) => `${d.date} · ${d.protocol}\n${count(d.n_trials)} trials in ${fixed(d.duration, 0)} min`;
  // Training days, counted from the first, stand above their dates.
  const dates = [...new Set(known.map((d) => d.date))];
  const numbered = dates.map((date, i) => ({ at: new Date(+utc(date) + DAY / 2), n: i + 1 })).filter((d) => d.n === 1 || d.n % (dates.length > 40 ? 10 : 5) === 0);
  return [
    key([["even", "training"], ["accent", "biased or ephys"]]),
    plot(width, {
      height: 186, marginTop: 30, marginBottom: 6, x: calendar(span, false), y: { label: "Trials", labelAnchor: "center", labelArrow: "none", ticks: 4, nice: true, zero: true },
      ariaLabel: "Trials of each session",
      marks: [
        mondays(span, c), Plot.gridY({ stroke: c.faint, strokeOpacity: 1, ticks: 4 }),
        Plot.rectY(known, { x1: "at", x2: (d) => new Date(+d.at + DAY), y: "n_trials", fill: (d) => (d.protocol === "training" ? c.even : c.accent), insetLeft: 0.5, insetRight: 0.5 }),
        milestoneRules(marks, c), Plot.ruleY([0], { stroke: c.muted }),
        Plot.text(numbered, { x: "at", text: "n", frameAnchor: "top", dy: -18, fill: c.muted, fontSize: 11 }),
        Plot.text(["training day"], { frameAnchor: "top-left", dx: -62, dy: -18, textAnchor: "start", fill: c.muted, fontSize: 11 }),
        Plot.tip(known, Plot.pointerX({ x: (d) => new Date(+d.at + DAY / 2), y: "n_trials", fill: c.paper, stroke: c.rule, title: tip })),
      ].filter(Boolean),
    }),
    plot(width, {
      height: 120, marginTop: 12, x: calendar(span, true), y: { label: "Duration (min)", labelAnchor: "center", labelArrow: "none", ticks: 3, nice: true, zero: true },
      ariaLabel: "Duration of each session",
      marks: [
        mondays(span, c), Plot.gridY({ stroke: c.faint, strokeOpacity: 1, ticks: 3 }),
        Plot.line(known, { x: (d) => new Date(+d.at + DAY / 2), y: "duration", stroke: c.muted, strokeWidth: 1 }),
        Plot.dot(known, { x: (d) => new Date(+d.at + DAY / 2), y: "duration", r: 2.4, fill: c.ink }), milestoneRules(marks, c),
      ].filter(Boolean),
    }),
  ];
}

const key = (items) => element("div", { class: "legend" }, ...items.map(([kind, text]) => element("label", {}, element("span", { class: `swatch dot ${kind}` }), text)));

function performance(width, c, days, span, marks) {
  const at = (d) => new Date(+d.at + DAY / 2);
  const easy = days.filter((d) => d.performance_easy != null);
  const timed = days.filter((d) => d.median_rt > 0);
  return [
    plot(width, {
      height: 170, marginBottom: 6, x: calendar(span, false), y: { domain: [0, 1], ticks: [0, 0.5, 0.8, 1], tickFormat: percent, label: "Easy trials correct", labelAnchor: "center", labelArrow: "none" },
      ariaLabel: "Fraction correct on easy trials",
      marks: [
        mondays(span, c), Plot.ruleY([0.8], { stroke: c.muted, strokeDasharray: "4,3" }), Plot.ruleY([0.5], { stroke: c.faint }),
        Plot.line(easy, { x: at, y: "performance_easy", stroke: c.left, strokeWidth: 1.5 }), Plot.dot(easy, { x: at, y: "performance_easy", r: 2.8, fill: c.left }),
        milestoneRules(marks, c),
        Plot.tip(easy, Plot.pointerX({ x: at, y: "performance_easy", fill: c.paper, stroke: c.rule, title: (d) => `${d.date}\n${percent(d.performance_easy)} correct on easy trials` })),
      ].filter(Boolean),
    }),
    plot(width, {
      height: 140, marginTop: 12, x: calendar(span, true), y: { type: "log", domain: [0.1, 10], ticks: [0.1, 1, 10], tickFormat: String, label: "Reaction time (s)", labelAnchor: "center", labelArrow: "none", clamp: true },
      ariaLabel: "Median reaction time",
      marks: [
        mondays(span, c), Plot.gridY([0.1, 1, 10], { stroke: c.faint, strokeOpacity: 1 }),
        Plot.line(timed, { x: at, y: "median_rt", stroke: c.right, strokeWidth: 1.5 }), Plot.dot(timed, { x: at, y: "median_rt", r: 2.8, fill: c.right }),
        milestoneRules(marks, c),
        Plot.tip(timed, Plot.pointerX({ x: at, y: "median_rt", fill: c.paper, stroke: c.rule, title: (d) => `${d.date}\nmedian ${fixed(d.median_rt, 2)} s` })),
      ].filter(Boolean),
    }),
  ];
}

function heatmap(width, c, map, span) {
  const cells = map.contrasts.flatMap((x, i) => map.dates.map((date, j) => ({ x, at: utc(date), p: map.p_right[i][j], date }))).filter((d) => d.p != null);
  const scale = choiceScale(c);
  const made = plot(width, {
    height: 56 + 19 * map.contrasts.length, marginTop: 8, x: calendar(span, true),
    y: { type: "band", domain: [...map.contrasts].reverse(), label: "Contrast (%)", labelAnchor: "center", labelArrow: "none", padding: 0.06 },
    color: scale,
    marks: [
      Plot.rect(cells, { x1: "at", x2: (d) => new Date(+d.at + DAY), y: "x", fill: "p", insetLeft: 0.4, insetRight: 0.4, title: (d) => `${d.date}, contrast ${d.x} %: ${percent(d.p)} right` }),
    ],
  });
  return [ramp(scale), made];
}

function ramp(scale) {
  const paint = scale.interpolate;
  return drawn(286, {
    height: 36, margin: 0, marginLeft: 66, marginRight: 20, marginBottom: 18, axis: null, x: { domain: [0, 1] },
    ariaLabel: "Colours: from all choices left to all choices right",
    marks: [
      Plot.rect(d3.range(32), { x1: (i) => i / 32, x2: (i) => (i + 1) / 32, y1: 0, y2: 1, fill: (i) => paint((i + 0.5) / 32) }),
      Plot.text([[0, "left"], [1, "right"]], { x: (d) => d[0], y: 0.5, text: (d) => d[1], textAnchor: "middle", dy: 17 }),
    ],
  });
}

const PARAMETERS = [
  ["threshold", "Threshold (%)", [0, 100], [19]],
  ["bias", "Bias (%)", [-100, 100], [-16, 16]],
  ["lapse_low", "Lapse left", [0, 1], [0.2]],
  ["lapse_high", "Lapse right", [0, 1], [0.2]],
];

function parameters(width, c, days, span, marks) {
  const at = (d) => new Date(+d.at + DAY / 2);
  return PARAMETERS.map(([name, label, domain, lines], i) => {
    const last = i === PARAMETERS.length - 1;
    const known = days.filter((d) => d.fit?.[name] != null).map((d) => ({ ...d, value: Math.min(Math.max(d.fit[name], domain[0]), domain[1]) }));
    return plot(width, {
      height: last ? 128 : 98, marginTop: 12, marginBottom: last ? 38 : 8, x: calendar(span, last),
      y: { domain, ticks: domain[0] < 0 ? [-100, 0, 100] : [domain[0], domain[1] / 2, domain[1]], tickFormat: String, label, labelAnchor: "center", labelArrow: "none" },
      ariaLabel: label,
      marks: [
        mondays(span, c), ...lines.map((y) => Plot.ruleY([y], { stroke: c.muted, strokeDasharray: "4,3" })),
        Plot.line(known, { x: at, y: "value", stroke: c.even, strokeWidth: 1 }), Plot.dot(known, { x: at, y: "value", r: 2.5, fill: c.ink }),
        milestoneRules(marks, c),
        Plot.tip(known, Plot.pointerX({ x: at, y: "value", fill: c.paper, stroke: c.rule, title: (d) => `${d.date}\n${label.toLowerCase()} ${fixed(d.fit[name], 2)}` })),
      ].filter(Boolean),
    });
  });
}

const WORDS = {
  NBiased: "Three biased sessions", Zero_contrast: "Contrast 0 shown", N_trials: "Trials of each session", Perf_easy: "Easy trials correct, each session",
  Reaction_time: "Reaction time at contrast 0 (s)", Threshold: "Threshold (%)", Bias: "Bias (%)", LapseLow_50: "Lapse left", LapseHigh_50: "Lapse right",
  Bias_shift: "Bias shift between blocks (%)", LapseLow_80: "Lapse left in 0.8 blocks", LapseHigh_80: "Lapse right in 0.8 blocks",
  LapseLow_20: "Lapse left in 0.2 blocks", LapseHigh_20: "Lapse right in 0.2 blocks", N_ephys: "Days on the ephys rig", N_delay: "Days with a delayed start",
};

const FITTED = ["Threshold", "Bias", "LapseLow_50", "LapseHigh_50"];

function criteria(next) {
  const holder = document.getElementById("criteria");
  if (!next) return holder.remove();
  const number = (v) => (typeof v === "number" ? String(+v.toPrecision(3)).replace("-", "−") : String(v));
  const shown = (v) => (Array.isArray(v) ? (v.length > 4 ? `${v.length} contrasts` : v.map(number).join(", ")) : v == null ? "–" : number(v));
  holder.append(
    element("h2", {}, `Next: ${statusName(next.status)}`),
    element("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Criteria of the next status" },
      element("table", {},
        element("caption", {}, `What the days ${next.dates.join(", ")} show, held against each criterion`),
        element("thead", {}, element("tr", {}, ...["Criterion", "Measured", "Rule", "Margin", "Met"].map((t, i) => element("th", { scope: "col", class: i === 3 ? "num" : null }, t)))),
        element("tbody", {}, ...next.criteria.map((one) => element("tr", {},
          element("th", { scope: "row" }, WORDS[one.name] ?? one.name), element("td", {}, one.value == null && FITTED.includes(one.name) ? "not determined" : shown(one.value)), element("td", {}, one.rule),
          element("td", { class: "num" }, one.margin == null ? "–" : number(one.margin)),
          element("td", { class: one.pass ? "pass" : "fail" }, one.pass ? "✓ yes" : "✗ no")))))),
  );
}

function sessions(days) {
  const heads = ["Session", "Protocol", "Trials", "Correct", "Easy correct", "Reaction time", "Status"];
  document.getElementById("days").append(
    element("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Sessions of this subject" },
      element("table", {},
        element("thead", {}, element("tr", {}, ...heads.map((h, i) => element("th", { scope: "col", class: i > 1 && i < 6 ? "num" : null }, h)))),
        element("tbody", {}, ...[...days].reverse().map((d) => element("tr", {},
          element("th", { scope: "row" }, link(sessionPage(d.id), `${d.date} · ${String(d.number).padStart(3, "0")}`)), element("td", {}, d.protocol),
          element("td", { class: "num" }, count(d.n_trials)), element("td", { class: "num" }, percent(d.performance)),
          element("td", { class: "num" }, percent(d.performance_easy)), element("td", { class: "num" }, d.median_rt == null ? "–" : `${fixed(d.median_rt, 2)} s`),
          element("td", {}, statusName(d.status)))))))
  );
}

const table = (days) => ({
  columns: ["Date", "Protocol", "Status", "Trials", "Duration (min)", "Easy correct", "Reaction time (s)", "Bias (%)", "Threshold (%)", "Lapse left", "Lapse right"],
  rows: days.map((d) => [d.date, d.protocol, statusName(d.status), d.n_trials, fixed(d.duration, 0), fixed(d.performance_easy, 3), fixed(d.median_rt, 3),
    fixed(d.fit?.bias, 1), fixed(d.fit?.threshold, 1), fixed(d.fit?.lapse_low, 3), fixed(d.fit?.lapse_high, 3)]),
});
