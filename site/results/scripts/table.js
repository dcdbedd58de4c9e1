// Lists with text search, facets and sorting, quick at 100,000 rows: columns in memory, the
// repeated texts as small numbers, one page of rows in the document.

import { count, element, fixed, labPage, link, percent, safeName, sessionPage, statusName, subjectPage, svg } from "./common.js";

export const PAGE = 50;

export const KINDS = {
  sessions: {
    what: "sessions",
    search: "Subject, lab, date, protocol or session id",
    facets: [["lab", "Lab"], ["protocol", "Protocol"], ["project", "Project"], ["year", "Year"]],
    order: ["date", -1],
    columns: [
      ["date", "Session", (r) => link(sessionPage(r("id")), `${r("date")} · ${String(r("number")).padStart(3, "0")}`)],
      ["subject", "Subject", (r) => link(subjectPage(r("subject")), r("subject"))],
      ["lab", "Lab", (r) => link(labPage(r("lab")), r("lab"))],
      ["protocol", "Protocol", (r) => r("protocol")],
      ["n_trials", "Trials", (r) => count(r("n_trials")), "num"],
      ["performance_easy", "Easy correct", (r) => percent(r("performance_easy")), "num"],
      ["median_rt", "Reaction time", (r) => (r("median_rt") == null ? "–" : `${fixed(r("median_rt"), 2)} s`), "num"],
      ["duration", "Duration", (r) => (r("duration") == null ? "–" : `${fixed(r("duration"), 0)} min`), "num"],
      ["n_probes", "Probes", (r) => r("n_probes") || "–", "num"],
    ],
  },
  subjects: {
    what: "subjects",
    search: "Nickname, lab, line or date of birth",
    facets: [["lab", "Lab"], ["status", "Status"], ["sex", "Sex"], ["line", "Line"]],
    order: ["last", -1],
    columns: [
      ["subject", "Subject", (r) => link(subjectPage(r("subject")), r("subject"))],
      ["lab", "Lab", (r) => link(labPage(r("lab")), r("lab"))],
      ["sex", "Sex", (r) => r("sex") || "–"],
      ["birth_date", "Born", (r) => r("birth_date") || "–"],
      ["status", "Status", (r) => statusName(r("status")) || "–"],
      ["n_sessions", "Sessions", (r) => count(r("n_sessions")), "num"],
      ["n_trials", "Trials", (r) => count(r("n_trials")), "num"],
      ["days_to_trained", "Days to trained", (r) => r("days_to_trained") ?? "–", "num"],
      ["performance_easy", "Easy correct, last 30 sessions", (r) => sparkline(r("recent"))],
      ["last", "Latest", (r) => r("last")],
    ],
  },
  probes: {
    what: "probes",
    search: "Subject, lab, probe name, date or id",
    facets: [["lab", "Lab"], ["subject", "Subject"]],
    order: ["date", -1],
    columns: [
      ["date", "Probe", (r) => link(`probes/${safeName(r("id"))}.html`, `${r("date")} · ${r("name")}`)],
      ["subject", "Subject", (r) => link(subjectPage(r("subject")), r("subject"))],
      ["lab", "Lab", (r) => link(labPage(r("lab")), r("lab"))],
      ["n_units", "Units", (r) => count(r("n_units")), "num"],
      ["n_good", "Good units", (r) => count(r("n_good")), "num"],
      ["n_spikes", "Spikes", (r) => count(r("n_spikes")), "num"],
    ],
  },
  daily: {
    what: "subjects",
    search: "Nickname or lab",
    facets: [["lab", "Lab"], ["last_protocol", "Latest protocol"], ["status", "Status"]],
    order: ["last", -1],
    columns: [
      ["last", "Latest session", (r) => link(sessionPage(r("last_session")), r("last"))],
      ["lab", "Lab", (r) => link(labPage(r("lab")), r("lab"))],
      ["subject", "Subject", (r) => link(subjectPage(r("subject")), r("subject"))],
      ["last_protocol", "Protocol", (r) => r("last_protocol")],
      ["status", "Status", (r) => statusName(r("status")) || "–"],
      ["performance_easy", "Easy correct", (r) => percent(r("performance_easy")), "num"],
      ["n_sessions", "Sessions", (r) => count(r("n_sessions")), "num"],
    ],
  },
};

// Rows in memory, column by column. A text column is codes into its values.
export class Table {
  constructor() {
    this.n = 0;
    this.columns = new Map();
  }

  add({ n, columns }) {
    for (const [name, given] of Object.entries(columns)) {
      if (Array.isArray(given)) {
        const column = this.#column(name, () => ({ values: [] }));
        for (const value of given) column.values.push(value);
      } else {
        const column = this.#column(name, () => ({ texts: [], codes: [], known: new Map() }));
        const code = given.values.map((text) => {
          if (!column.known.has(text)) {
            column.known.set(text, column.texts.length);
            column.texts.push(text);
          }
          return column.known.get(text);
        });
        for (const c of given.codes) column.codes.push(code[c]);
      }
    }
    if (columns.date) {
      const years = columns.date.map((date) => date.slice(0, 4));
      const column = this.#column("year", () => ({ texts: [], codes: [], known: new Map() }));
      for (const year of years) {
        if (!column.known.has(year)) {
          column.known.set(year, column.texts.length);
          column.texts.push(year);
        }
        column.codes.push(column.known.get(year));
      }
    }
    this.n += n;
  }

  #column(name, make) {
    if (!this.columns.has(name)) this.columns.set(name, make());
    return this.columns.get(name);
  }

  value(name, row) {
    const column = this.columns.get(name);
    if (!column) return null;
    return column.codes ? column.texts[column.codes[row]] : column.values[row];
  }

  // For each row, whether it passes every facet but `except`, and matches every word.
  passing(words, facets, except) {
    const pass = new Uint8Array(this.n).fill(1);
    for (const [name, wanted] of facets) {
      if (name === except || wanted === "") continue;
      const { texts, codes } = this.columns.get(name);
      const code = texts.indexOf(wanted);
      for (let i = 0; i < this.n; i++) if (codes[i] !== code) pass[i] = 0;
    }
    for (const word of words) this.#match(word, pass);
    return pass;
  }

  #match(word, pass) {
    const texts = [];
    const starts = [];
    for (const [name, column] of this.columns) {
      if (column.codes && name !== "year") {
        const hit = column.texts.map((text) => text.toLowerCase().includes(word));
        if (hit.some(Boolean)) texts.push([column.codes, hit]);
      } else if (["id", "date", "birth_date", "last", "first", "name"].includes(name)) {
        starts.push(column.values);
      } else if (name === "subject") {
        starts.push(column.values);
      }
    }
    for (let i = 0; i < this.n; i++) {
      if (!pass[i]) continue;
      let found = false;
      for (const [codes, hit] of texts) if (hit[codes[i]]) { found = true; break; }
      for (let k = 0; !found && k < starts.length; k++) found = (starts[k][i] ?? "").startsWith(word);
      pass[i] = found ? 1 : 0;
    }
  }

  // Row numbers that pass, in order of a column; rows without a value come last.
  ordered(pass, name, direction) {
    const rows = [];
    for (let i = 0; i < this.n; i++) if (pass[i]) rows.push(i);
    const column = this.columns.get(name);
    if (!column) return rows;
    let key;
    if (column.codes) {
      const rank = new Map([...column.texts].sort((a, b) => a.localeCompare(b)).map((t, i) => [t, i]));
      const ranks = column.texts.map((t) => rank.get(t));
      key = (i) => ranks[column.codes[i]];
    } else {
      key = (i) => column.values[i];
    }
    return rows.sort((a, b) => {
      const x = key(a);
      const y = key(b);
      if (x == null || y == null) return (x == null) - (y == null);
      return x < y ? -direction : x > y ? direction : a - b;
    });
  }
}

export function sparkline(values) {
  const known = (values ?? []).map((v, i) => [i, v]).filter(([, v]) => v != null);
  const picture = svg("svg", { width: 110, height: 24, viewBox: "0 0 110 24", role: "img", "aria-label": known.length ? `from ${percent(known[0][1])} to ${percent(known.at(-1)[1])}` : "no values" });
  const y = (v) => 22 - 20 * v;
  picture.append(svg("line", { class: "spark-line", x1: 0, x2: 110, y1: y(0.8), y2: y(0.8) }));
  const step = 108 / Math.max(1, values.length - 1);
  if (known.length) picture.append(svg("polyline", { class: "spark", points: known.map(([i, v]) => `${(1 + i * step).toFixed(1)},${y(v).toFixed(1)}`).join(" ") }));
  return picture;
}

// Draw a list into its place and return a function that tells it of new rows.
export function list(holder, table, kind, total) {
  const { what, search, facets, columns, order } = KINDS[kind];
  const state = { words: [], facets: new Map(facets.map(([name]) => [name, ""])), sort: [...order], page: 0 };
  const query = new URLSearchParams(location.hash.slice(1));
  const input = element("input", { type: "search", placeholder: search, value: query.get("q") ?? "", oninput: () => change() });
  const selects = facets.map(([name, label]) => [name, label, element("select", { onchange: () => change() })]);
  const head = columns.map(([name, label, , style]) =>
    element("th", { scope: "col", class: style }, element("button", { type: "button", onclick: () => sort(name) }, label)));
  const body = element("tbody");
  const said = element("p", { role: "status", "aria-live": "polite", id: "found" });
  const previous = element("button", { type: "button", onclick: () => turn(-1) }, "Previous");
  const next = element("button", { type: "button", onclick: () => turn(1) }, "Next");
  const where = element("span");
  for (const [name] of facets) if (query.get(name)) state.facets.set(name, query.get(name));
  holder.append(
    element("div", { class: "filters", role: "search" },
      element("label", {}, "Search", input),
      ...selects.map(([, label, select]) => element("label", {}, label, select))),
    element("div", { class: "found" }, said, element("div", { class: "pager" }, previous, where, next)),
    element("div", { class: "table", tabindex: 0, role: "region", "aria-label": `List of ${what}` },
      element("table", {}, element("thead", {}, element("tr", {}, ...head)), body)),
  );
  let rows = [];
  const noun = (n) => (n === 1 ? what.slice(0, -1) : what);

  function change() {
    for (const [name, , select] of selects) state.facets.set(name, select.value);
    state.page = 0;
    refresh();
    const kept = new URLSearchParams();
    if (input.value) kept.set("q", input.value);
    for (const [name, value] of state.facets) if (value) kept.set(name, value);
    history.replaceState(null, "", kept.size ? `#${kept}` : location.pathname + location.search);
  }

  function sort(name) {
    state.sort = [name, state.sort[0] === name ? -state.sort[1] : 1];
    state.page = 0;
    refresh();
  }

  function turn(step) {
    state.page += step;
    show();
  }

  function refresh() {
    state.words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const pass = table.passing(state.words, state.facets);
    rows = table.ordered(pass, ...state.sort);
    for (const [name, , select] of selects) {
      // Without a choice in this facet, what passes the others is what passes all.
      const others = state.facets.get(name) ? table.passing(state.words, state.facets, name) : pass;
      choices(select, name, others);
    }
    columns.forEach(([name], i) => {
      if (name === state.sort[0]) head[i].setAttribute("aria-sort", state.sort[1] > 0 ? "ascending" : "descending");
      else head[i].removeAttribute("aria-sort");
    });
    show();
  }

  function choices(select, name, pass) {
    const column = table.columns.get(name);
    if (!column) return;
    const totals = new Uint32Array(column.texts.length);
    for (let i = 0; i < table.n; i++) if (pass[i]) totals[column.codes[i]]++;
    const chosen = state.facets.get(name);
    const options = column.texts
      .map((text, i) => [text, totals[i]])
      .filter(([text, n]) => text && (n || text === chosen))
      .sort((a, b) => a[0].localeCompare(b[0]));
    select.replaceChildren(
      element("option", { value: "" }, "All"),
      ...options.map(([text, n]) => element("option", { value: text, selected: text === chosen }, `${name === "status" ? statusName(text) : text} (${count(n)})`)),
    );
  }

  function show() {
    const pages = Math.max(1, Math.ceil(rows.length / PAGE));
    state.page = Math.min(Math.max(0, state.page), pages - 1);
    const part = rows.slice(state.page * PAGE, (state.page + 1) * PAGE);
    body.replaceChildren(...part.map((row) => {
      const read = (name) => table.value(name, row);
      const cells = columns.map(([, , cell, style], i) => element(i ? "td" : "th", i ? { class: style } : { scope: "row", class: style }, cell(read)));
      if (read("synthetic")) cells[0].append(" ", element("span", { class: "badge synthetic-row" }, "synthetic"));
      return element("tr", {}, ...cells);
    }));
    const all = total() > table.n ? `, ${count(table.n)} of ${count(total())} loaded` : "";
    said.textContent = rows.length === table.n ? `${count(table.n)} ${noun(table.n)}${all}` : `${count(rows.length)} of ${count(table.n)} ${noun(table.n)}${all}`;
    where.textContent = `Page ${count(state.page + 1)} of ${count(pages)}`;
    previous.disabled = state.page === 0;
    next.disabled = state.page >= pages - 1;
  }

  refresh();
  return refresh;
}
