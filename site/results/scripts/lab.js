// One lab: its sessions over time, how its subjects learn, where they stand.

import { count, nickname, pageData, percent, root, start, statusName, subjectPage } from "./common.js";
import { draw, plot, yearOf } from "./figure.js";
import { list, Table } from "./table.js";
import { statuses } from "./statuses.js";

const { Plot } = globalThis;

start(async () => {
  const data = await pageData();
  const months = data.months.map((m, i) => ({ month: new Date(`${m}-01T00:00:00Z`), sessions: data.n_sessions[i], trials: data.n_trials[i] }));
  draw("growth", (width, c) => growth(width, c, months), () => ({ columns: ["Month", "Sessions", "Trials"], rows: data.months.map((m, i) => [m, data.n_sessions[i], data.n_trials[i]]) }));
  draw("status", (width, c) => statuses(width, c, data.statuses), () => ({ columns: ["Status", "Subjects"], rows: Object.entries(data.statuses).map(([s, n]) => [statusName(s), n]) }));
  const table = new Table();
  table.add(data.subjects);
  const names = Array.from({ length: table.n }, (_, i) => table.value("subject", i));
  draw("learning", (width, c) => learning(width, c, names, (i) => table.value("recent", i)));
  list(document.getElementById("list"), table, "subjects", () => table.n);
});

function growth(width, c, months) {
  return plot(width, {
    height: 200, x: { type: "utc", label: null, domain: yearOf(months.map((m) => m.month)) }, y: { label: "Sessions", labelAnchor: "center", labelArrow: "none", ticks: 4, nice: true },
    marks: [
      Plot.gridY({ stroke: c.faint, strokeOpacity: 1, ticks: 4 }),
      Plot.rectY(months, { x: "month", interval: "month", y: "sessions", fill: c.accent, inset: 0.5 }), Plot.ruleY([0], { stroke: c.muted }),
      Plot.tip(months, Plot.pointerX({ x: "month", y: "sessions", fill: c.paper, stroke: c.rule, title: (d) => `${d.month.toISOString().slice(0, 7)}\n${count(d.sessions)} sessions, ${count(d.trials)} trials` })),
    ],
  });
}

// Small multiples, one per subject; beyond forty the list below has the rest.
function learning(width, c, names, recent) {
  const shown = names.slice(0, 40);
  const per = Math.max(2, Math.floor(width / 170));
  const rows = shown.flatMap((name, i) => recent(i).map((y, k) => ({ name, i, k, y }))).filter((d) => d.y != null);
  const cell = (i) => ({ fx: i % per, fy: Math.floor(i / per) });
  const made = plot(width, {
    height: 104 * Math.ceil(shown.length / per) + 28, marginLeft: 40, marginTop: 22, marginBottom: 24, fx: { axis: null, padding: 0.14, domain: Array.from({ length: per }, (_, i) => i) }, fy: { axis: null, padding: 0.24 },
    x: { domain: [0, 29], ticks: [0, 29], tickFormat: (k) => (k ? "latest" : "−29"), label: null, tickSize: 3 }, y: { domain: [0.4, 1], ticks: [0.5, 1], tickFormat: percent, label: null, tickSize: 3 },
    ariaLabel: `Correct on easy trials in the last sessions of ${shown.length} subjects`,
    marks: [
      Plot.ruleY(shown.flatMap((name, i) => [{ ...cell(i), y: 0.8 }]), { fx: "fx", fy: "fy", y: "y", stroke: c.rule }),
      Plot.line(rows, { fx: (d) => cell(d.i).fx, fy: (d) => cell(d.i).fy, x: "k", y: (d) => Math.max(0.4, d.y), z: "name", stroke: c.left, strokeWidth: 1.5 }),
      Plot.text(shown.map((name, i) => ({ name, ...cell(i) })), { fx: "fx", fy: "fy", text: (d) => nickname(d.name), frameAnchor: "top-left", dy: -13, fill: c.ink, fontSize: 11, fontWeight: 520, href: (d) => root + subjectPage(d.name) }),
    ],
  });
  // The names lead to the subjects' pages: a picture has no links, a group has.
  made.setAttribute("role", "group");
  return made;
}
