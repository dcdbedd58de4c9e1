// How many subjects are at each training status; on the front page and on the labs' pages.

import { count, statusName } from "./common.js";
import { plot, STATUSES, statusColour } from "./figure.js";

const { Plot, d3 } = globalThis;

export function statuses(width, c, counts) {
  const rows = STATUSES.filter((s) => counts[s]).map((s) => ({ status: s, n: counts[s] }));
  return plot(width, {
    height: 30 + 34 * rows.length, marginLeft: 150, marginTop: 4, marginBottom: 8, marginRight: 46, x: { axis: null, domain: [0, d3.max(rows, (r) => r.n) || 1] },
    y: { domain: rows.map((r) => r.status), tickFormat: statusName, label: null, tickSize: 0, padding: 0.28 },
    marks: [
      Plot.barX(rows, { x: "n", y: "status", fill: (r) => statusColour(c, r.status) }),
      Plot.text(rows, { x: "n", y: "status", text: (r) => count(r.n), textAnchor: "start", dx: 6 }),
    ],
  });
}
