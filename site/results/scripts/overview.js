// The front page: where the laboratories are, what grew when, where the mice stand.

import { count, element, json, labPage, link, pageData, root, start, statusName } from "./common.js";
import { draw, plot, yearOf } from "./figure.js";
import { statuses } from "./statuses.js";

const { Plot, d3, topojson } = globalThis;

start(async () => {
  const [data, land] = await Promise.all([pageData(), json(document.body.dataset.land)]);
  const outline = topojson.feature(land, land.objects.land);
  draw("map", (width, c) => map(width, c, data.labs, outline), () => ({
    columns: ["Lab", "Institution", "Subjects", "Sessions"], rows: data.labs.map((l) => [l.name, l.institution, count(l.n_subjects), count(l.n_sessions)]) }));
  unplaced(data.labs);
  draw("status", (width, c) => statuses(width, c, data.statuses), () => ({
    columns: ["Status", "Subjects"], rows: Object.entries(data.statuses).map(([s, n]) => [statusName(s), n]) }));
  draw("growth", (width, c) => growth(width, c, data), () => ({
    columns: ["Month", ...Object.keys(data.by_lab)], rows: data.months.map((m, i) => [m, ...Object.values(data.by_lab).map((v) => v[i])]) }));
});

function map(width, c, labs, outline) {
  const placed = labs.filter((l) => l.latitude != null && l.longitude != null).sort((a, b) => b.n_sessions - a.n_sessions);
  const radius = (n) => Math.min(14, 3 + Math.sqrt(n) / 3);
  const made = plot(width, {
    height: width * 0.487, margin: 0, marginLeft: 0, marginRight: 0, marginBottom: 0, projection: "equal-earth",
    ariaLabel: `Map of ${placed.length} laboratories`,
    marks: [
      Plot.geo(outline, { fill: c.faint }),
      Plot.dot(placed, { x: "longitude", y: "latitude", r: (l) => radius(l.n_sessions), fill: c.accent, fillOpacity: 0.78, stroke: c.paper, href: (l) => root + labPage(l.name), ariaLabel: (l) => l.name }),
      Plot.tip(placed, Plot.pointer({ x: "longitude", y: "latitude", fill: c.paper, stroke: c.rule, title: (l) => `${l.name}\n${l.institution}\n${count(l.n_sessions)} sessions of ${count(l.n_subjects)} subjects` })),
    ],
  });
  // The points lead to the labs' pages: an image has no links for a screen reader, a group has.
  made.setAttribute("role", "group");
  return made;
}

function unplaced(labs) {
  const missing = labs.filter((l) => l.latitude == null);
  if (!missing.length) return;
  const text = element("p", {}, "Not on the map: ");
  missing.forEach((l, i) => text.append(i ? ", " : "", link(labPage(l.name), l.name)));
  document.querySelector("#map figcaption").append(text);
}

function growth(width, c, data) {
  const labs = Object.keys(data.by_lab);
  const rows = labs.flatMap((lab) => data.months.map((month, i) => ({ lab, month: new Date(`${month}-01T00:00:00Z`), n: data.by_lab[lab][i] }))).filter((r) => r.n);
  const totals = d3.rollups(rows, (v) => ({ n: d3.sum(v, (r) => r.n), labs: v }), (r) => +r.month).map(([month, v]) => ({ month: new Date(month), ...v }));
  return plot(width, {
    height: 210, x: { type: "utc", label: null, domain: yearOf(totals.map((t) => t.month)) }, y: { label: "Sessions", labelAnchor: "center", labelArrow: "none", ticks: 4, nice: true },
    marks: [
      Plot.gridY({ stroke: c.faint, strokeOpacity: 1, ticks: 4 }),
      Plot.rectY(totals, { x: "month", interval: "month", y: "n", fill: c.accent, inset: 0.5 }),
      Plot.ruleY([0], { stroke: c.muted }),
      Plot.tip(totals, Plot.pointerX({ x: "month", y: "n", fill: c.paper, stroke: c.rule, title: (d) => `${d.month.toISOString().slice(0, 7)}: ${count(d.n)} sessions\n${d.labs.map((l) => `${l.lab} ${count(l.n)}`).join("\n")}` })),
    ],
  });
}
