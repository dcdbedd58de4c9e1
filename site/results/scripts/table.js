// Lists with text search, facets, ranges and sorting, quick at 100,000 rows: columns in memory,
// the repeated texts as small numbers, one page of rows in the document. What is chosen is in the
// address, so that Back undoes it and a link shows the same.
// One file, because the kinds of lists are declared beside what draws them.

import { count, element, fixed, labPage, link, nickname, percent, safeName, sessionPage, statusName, subjectPage, svg } from "./common.js";

export const PAGE = 50;

export const KINDS = {
  sessions: {
    what: "sessions",
    search: "Subject, lab, date, protocol or session id",
    facets: [["lab", "Lab"], ["protocol", "Protocol"], ["project", "Project"], ["year", "Year"]],
    ranges: [["date", "Date", "date"], ["n_trials", "Trials", "number"], ["performance_easy", "Easy correct (%)", "percent"], ["median_rt", "Reaction time (s)", "number"], ["duration", "Duration (min)", "number"]],
    parquet: "data/sessions.pqt",
    order: ["date", -1],
    columns: [
      ["date", "Session", (r) => link(sessionPage(r("id")), `${r("date")} · ${String(r("number")).padStart(3, "0")}`)],
      ["subject", "Subject", (r) => link(subjectPage(r("subject")), nickname(r("subject")))],
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
    ranges: [["last", "Latest session", "date"], ["birth_date", "Born", "date"], ["n_sessions", "Sessions", "number"], ["n_trials", "Trials", "number"], ["days_to_trained", "Days to trained", "number"]],
    parquet: "data/subjects.pqt",
    order: ["last", -1],
    columns: [
      ["subject", "Subject", (r) => link(subjectPage(r("subject")), nickname(r("subject")))],
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
    ranges: [["date", "Date", "date"], ["n_units", "Units", "number"], ["n_good", "Good units", "number"], ["n_spikes", "Spikes", "number"]],
    order: ["date", -1],
    columns: [
      ["date", "Probe", (r) => link(`probes/${safeName(r("id"))}.html`, `${r("date")} · ${r("name")}`)],
      ["subject", "Subject", (r) => link(subjectPage(r("subject")), nickname(r("subject")))],
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
    ranges: [["last", "Latest session", "date"], ["n_sessions", "Sessions", "number"], ["performance_easy", "Easy correct (%)", "percent"]],
    order: ["last", -1],
    columns: [
      ["last", "Latest session", (r) => link(sessionPage(r("last_session")), r("last"))],
      ["lab", "Lab", (r) => link(labPage(r("lab")), r("lab"))],
      ["subject", "Subject", (r) => link(subjectPage(r("subject")), nickname(r("subject")))],
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

  // For each row, whether it passes every facet but `except`, lies in every range, and matches
  // every word. A range is [from, to], either may be missing; rows without a value lie in none.
  passing(words, facets, ranges, except) {
    const pass = new Uint8Array(this.n).fill(1);
    for (const [name, [from, to]] of ranges) {
      const { values } = this.columns.get(name);
      for (let i = 0; i < this.n; i++) {
        const value = values[i];
        if (value == null || value === "" || (from != null && value < from) || (to != null && value > to)) pass[i] = 0;
      }
    }
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

// Text of an input → the value that rows are compared with, null if there is none.
const read = { date: (text) => text || null, number: (text) => (text === "" ? null : Number(text)), percent: (text) => (text === "" ? null : Number(text) / 100) };

function csv(table, columns, rows) {
  const cell = (value) => {
    if (value == null) return "";
    const text = Array.isArray(value) ? value.map((v) => v ?? "").join(" ") : String(value);
    // A text that a spreadsheet would take for a formula stays a text.
    const safe = typeof value === "string" && /^[=+@\t\r-]/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const lines = rows.map((row) => columns.map((name) => cell(table.value(name, row))).join(","));
  return [columns.join(","), ...lines, ""].join("\r\n");
}

// The writer is fetched only by those who want such a file.
async function saveParquet(table, rows, name) {
  const { parquet } = await import("./parquet.js");
  const columns = Object.fromEntries([...table.columns].map(([column, held]) => [column, held.codes ? Array.from(held.codes, (code) => held.texts[code]) : held.values]));
  download(parquet(columns, rows), "application/vnd.apache.parquet", name);
}

function download(body, type, name) {
  const anchor = element("a", { href: URL.createObjectURL(new Blob([body], { type })), download: name });
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 1000);
}

// Draw a list into its place and return a function that tells it of new rows.
export function list(holder, table, kind, total) {
  const { what, search, facets, columns, order, ranges, parquet } = KINDS[kind];
  const state = { words: [], facets: new Map(), ranges: new Map(), sort: [...order], page: 0 };
  const input = element("input", { type: "search", placeholder: search, oninput: () => change(true) });
  const selects = facets.map(([name, label]) => [name, label, element("select", { onchange: () => change() })]);
  const limits = ranges.map(([name, label, type]) => {
    const end = (side) => element("input", { type: type === "date" ? "date" : "number", step: "any", "aria-label": `${label}, ${side}`, placeholder: side, onchange: () => change() });
    return [name, label, type, end("from"), end("to")];
  });
  const sorter = element("select", { id: "sort", onchange: () => sort(...order_of(sorter.value)) },
    ...columns.flatMap(([name, label]) => [[`${name}`, `${label} ↑`], [`-${name}`, `${label} ↓`]]).map(([value, text]) => element("option", { value }, text)));
  const head = columns.map(([name, label, , style]) =>
    element("th", { scope: "col", class: style, role: "columnheader" }, element("button", { type: "button", onclick: () => sort(name, state.sort[0] === name ? -state.sort[1] : 1) }, label)));
  const body = element("tbody", { role: "rowgroup" });
  const said = element("p", { role: "status", "aria-live": "polite", id: "found" });
  const previous = element("button", { type: "button", onclick: () => turn(-1) }, "Previous");
  const next = element("button", { type: "button", onclick: () => turn(1) }, "Next");
  const where = element("span");
  const more = element("details", { class: "ranges" }, element("summary", {}, "Ranges"),
    element("div", {}, ...limits.map(([, label, , from, to]) => element("fieldset", {}, element("legend", {}, label), from, element("span", { "aria-hidden": "true" }, "to"), to))));
  const clear = () => element("button", { type: "button", class: "button clear", onclick: () => clearAll() }, "Clear filters");
  const out = element("p", { class: "exports" },
    element("button", { type: "button", class: "button", id: "csv", onclick: () => download(csv(table, [...table.columns.keys()], rows), "text/csv;charset=utf-8", `${kind}.csv`) }, "Save these rows as CSV"),
    " ",
    element("button", { type: "button", class: "button", id: "parquet", onclick: () => saveParquet(table, rows, `${kind}.pqt`) }, "… as Parquet"),
    parquet ? link(parquet, `All ${what} as Parquet`) : null);
  holder.append(
    element("div", { class: "filters", role: "search" },
      element("label", {}, "Search", input),
      ...selects.map(([, label, select]) => element("label", {}, label, select)),
      element("div", { class: "sorter" }, element("label", { for: "sort" }, "Sort by"), sorter)),
    more,
    element("div", { class: "found" }, said, element("div", { class: "pager" }, previous, where, next)),
    element("div", { class: "table cards", tabindex: 0, role: "region", "aria-label": `List of ${what}` },
      element("table", { role: "table" }, element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...head)), body)),
    out,
  );
  let rows = [];
  let shown = location.hash;
  const noun = (n) => (n === 1 ? what.slice(0, -1) : what);
  const order_of = (text) => (text.startsWith("-") ? [text.slice(1), -1] : [text, 1]);

  // The address says what is chosen: read it at the start, and when Back or Forward changes it.
  function restore() {
    const query = new URLSearchParams(location.hash.slice(1));
    input.value = query.get("q") ?? "";
    for (const [name] of facets) state.facets.set(name, query.get(name) ?? "");
    for (const [name, , , from, to] of limits) {
      const [low, high] = (query.get(name) ?? "").split("..");
      from.value = low ?? "";
      to.value = high ?? "";
    }
    const [name, direction] = order_of(query.get("sort") ?? "");
    state.sort = columns.some(([column]) => column === name) ? [name, direction] : [...order];
    state.page = Math.max(0, (Number.parseInt(query.get("page"), 10) || 1) - 1);
    shown = location.hash;
    refresh();
  }

  // Put what is chosen into the address; typing changes the entry that is there already.
  function store(typing = false) {
    const query = new URLSearchParams();
    if (input.value) query.set("q", input.value);
    for (const [name, value] of state.facets) if (value) query.set(name, value);
    for (const [name, , , from, to] of limits) if (from.value || to.value) query.set(name, `${from.value}..${to.value}`);
    if (state.sort[0] !== order[0] || state.sort[1] !== order[1]) query.set("sort", (state.sort[1] < 0 ? "-" : "") + state.sort[0]);
    if (state.page) query.set("page", String(state.page + 1));
    const hash = query.size ? `#${query}` : "";
    if (hash === shown) return;
    const address = location.pathname + location.search + hash;
    if (typing && history.state?.typing) history.replaceState({ typing }, "", address);
    else history.pushState({ typing }, "", address);
    shown = hash;
  }

  function change(typing = false) {
    for (const [name, , select] of selects) state.facets.set(name, select.value);
    state.page = 0;
    refresh();
    store(typing);
  }

  function clearAll() {
    input.value = "";
    for (const [, , select] of selects) select.value = "";
    for (const [, , , from, to] of limits) from.value = to.value = "";
    change();
    input.focus();
  }

  function sort(name, direction) {
    state.sort = [name, direction];
    state.page = 0;
    refresh();
    store();
  }

  function turn(step) {
    state.page += step;
    show();
    store();
  }

  function refresh() {
    state.words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    state.ranges = new Map(limits.map(([name, , type, from, to]) => [name, [read[type](from.value), read[type](to.value)]]).filter(([name, [low, high]]) => (low != null || high != null) && table.columns.has(name)));
    if (state.ranges.size) more.open = true;
    const pass = table.passing(state.words, state.facets, state.ranges);
    rows = table.ordered(pass, ...state.sort);
    for (const [name, , select] of selects) {
      // Without a choice in this facet, what passes the others is what passes all.
      const others = state.facets.get(name) ? table.passing(state.words, state.facets, state.ranges, name) : pass;
      choices(select, name, others);
    }
    columns.forEach(([name], i) => {
      if (name === state.sort[0]) head[i].setAttribute("aria-sort", state.sort[1] > 0 ? "ascending" : "descending");
      else head[i].removeAttribute("aria-sort");
    });
    sorter.value = (state.sort[1] < 0 ? "-" : "") + state.sort[0];
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
      const value = (name) => table.value(name, row);
      const cells = columns.map(([, label, cell, style], i) => element(i ? "td" : "th",
        i ? { class: style, role: "cell", "data-label": label } : { scope: "row", class: style, role: "rowheader" }, cell(value)));
      if (value("synthetic")) cells[0].append(" ", element("span", { class: "badge synthetic-row" }, "synthetic"));
      if (value("problem")) cells[0].append(" ", element("span", { class: "badge problem-row", title: value("problem") }, "incomplete"));
      return element("tr", { role: "row" }, ...cells);
    }));
    if (!rows.length && table.n) body.replaceChildren(element("tr", { role: "row" }, element("td", { colspan: columns.length, class: "nothing", role: "cell" }, `No ${what} match. `, clear())));
    const all = total() > table.n ? `, ${count(table.n)} of ${count(total())} loaded` : "";
    said.textContent = rows.length === table.n ? `${count(table.n)} ${noun(table.n)}${all}` : `${count(rows.length)} of ${count(table.n)} ${noun(table.n)}${all}`;
    where.textContent = `Page ${count(state.page + 1)} of ${count(pages)}`;
    previous.disabled = state.page === 0;
    next.disabled = state.page >= pages - 1;
  }

  addEventListener("popstate", restore);
  restore();
  // More rows have come; what is chosen, and the page, stay.
  return () => {
    const { page } = state;
    refresh();
    if (page !== state.page) restore();
  };
}
