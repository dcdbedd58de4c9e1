// Where every subject stands, and who was trained on which of the last days with data.

import { element, link, nickname, pageData, percent, start, subjectPage } from "./common.js";
import { list, Table } from "./table.js";

start(async () => {
  const data = await pageData();
  const table = new Table();
  table.add(data);
  week(document.getElementById("week"), table);
  list(document.getElementById("list"), table, "daily", () => table.n);
});

// One row per subject trained in the week of the latest session, Monday to Sunday.
function week(holder, table) {
  const latest = table.columns.get("last").values.reduce((a, b) => (a > b ? a : b), "");
  if (!latest) return;
  const day = new Date(`${latest}T00:00:00Z`);
  const monday = new Date(day - ((day.getUTCDay() + 6) % 7) * 864e5);
  const dates = Array.from({ length: 7 }, (_, i) => new Date(+monday + i * 864e5).toISOString().slice(0, 10));
  const trained = [];
  for (let i = 0; i < table.n; i++) {
    const on = new Map(table.value("recent_dates", i).map((d, k) => [d, table.value("recent", i)[k]]));
    if (dates.some((d) => on.has(d))) trained.push([table.value("subject", i), table.value("lab", i), on]);
  }
  const names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
  const body = trained.slice(0, 60).map(([name, lab, on]) => {
    const days = dates.filter((d) => on.has(d)).length;
    return element("tr", {}, element("th", { scope: "row" }, link(subjectPage(name), nickname(name))), element("td", {}, lab),
      ...dates.map((d) => element("td", { class: "num" }, on.has(d) ? percent(on.get(d)) : "")), element("td", { class: "num" }, String(days)));
  });
  holder.append(
    element("h2", {}, `Week of ${dates[0]}`),
    element("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Training in the latest week" },
      element("table", {},
        element("caption", {}, `Correct on easy trials of each session; ${trained.length} subjects trained${trained.length > 60 ? ", the first 60 shown" : ""}`),
        element("thead", {}, element("tr", {}, ...["Subject", "Lab"].map((h) => element("th", { scope: "col" }, h)), ...dates.map((d, i) => element("th", { scope: "col", class: "num" }, `${names[i]} ${d.slice(8)}`)), element("th", { scope: "col", class: "num" }, "Days"))),
        element("tbody", {}, ...body))),
    element("h2", {}, "All subjects"),
  );
}
