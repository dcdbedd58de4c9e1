// The lab's reports, made by the server: read, printed, saved.
import { useEffect, useState } from "preact/hooks";
import { get, Refused, ROOT } from "../data/api.ts";
import { words } from "../data/forms.ts";
import { type Row, text } from "../data/model.ts";
import { lab } from "../data/session.ts";
import { said, today } from "../data/time.ts";
import { Empty, Failed } from "../parts/empty.tsx";
import { href, place } from "../parts/router.ts";

const REPORTS: [string, string][] = [["week", "Week"], ["restrictions", "Restrictions"], ["todo", "To do"], ["year", "Annual return"]];

interface Report {
  from: string;
  to: string;
  rows: Row[];
  lists?: { list: string; count: number; percent_male: number | null }[];
  missing?: Record<string, string[]>;
}

const cell = (value: unknown): string => (value === true ? "✓" : value === false ? "·" : typeof value === "number" ? String(Math.round(100 * value) / 100) : /^\d{4}-\d\d-\d\d$/.test(text(value)) ? said(value) : text(value));

export function Reports() {
  const [which, setWhich] = useState(place.value.query.get("which") ?? "week");
  const [days, setDays] = useState<{ from?: string; to?: string }>({});
  const [found, setFound] = useState<Report | string>("…");
  const [round, setRound] = useState(0);
  const query = `lab=${encodeURIComponent(lab.value)}${days.from ? `&from=${days.from}` : ""}${days.to ? `&to=${days.to}` : ""}`;
  useEffect(() => {
    let live = true;
    setFound("…");
    void get<Report>(`/reports/${which}?${query}`)
      .then((answer) => live && setFound(answer))
      .catch((error: unknown) => live && setFound(error instanceof Refused ? error.message : String(error)));
    return () => void (live = false);
  }, [which, query, round]);
  const columns = typeof found === "string" ? [] : Object.keys(found.rows[0] ?? {});
  return (
    <>
      <header class="page-head">
        <div><h1>Reports</h1><p class="muted">{lab.value}{typeof found === "string" ? "" : ` · ${said(found.from)} to ${said(found.to)}`}</p></div>
        <span class="actions tight no-print">
          <a class="button" href={`${ROOT}/reports/${which}?${query}&format=csv`} download>CSV</a>
          <button type="button" class="button" onClick={() => print()}>Print</button>
        </span>
      </header>
      <div class="no-print">
        <div class="segments" role="group" aria-label="Which report">
          {REPORTS.map(([key, label]) => <button key={key} type="button" aria-pressed={which === key} onClick={() => { setDays({}); setWhich(key); }}>{label}</button>)}
        </div>
        {(which === "year" || which === "week") && typeof found !== "string" && (
          <div class="bar">
            <label class="field"><span class="label">From</span><input class="input" type="date" value={found.from} max={found.to} onChange={(event) => setDays({ ...days, from: event.currentTarget.value })} /></label>
            <label class="field"><span class="label">To</span><input class="input" type="date" value={found.to} max={today()} onChange={(event) => setDays({ ...days, to: event.currentTarget.value })} /></label>
          </div>
        )}
      </div>
      {typeof found === "string" ? (found === "…" ? <p class="muted" role="status">…</p> : <Failed told={found} again={() => setRound(round + 1)} />) : (
        <>
          {found.missing && Object.entries(found.missing).filter(([, names]) => names.length).map(([what, names]) => (
            <p key={what} class="warn-text">Without {what}: {names.slice(0, 12).map((each, i) => <span key={each}>{i > 0 && ", "}<a href={href("mouse", each)}>{each}</a></span>)}{names.length > 12 ? ` and ${names.length - 12} more` : ""}</p>
          ))}
          {found.lists && (
            <div class="table-box" tabIndex={0} role="region" aria-label="Lists of the return">
              <table class="table">
                <caption>Lists of the return</caption>
                <thead><tr><th scope="col">List</th><th scope="col">Animals</th><th scope="col">Male, %</th></tr></thead>
                <tbody>{found.lists.map((each) => <tr key={each.list}><th scope="row">{words(each.list)}</th><td>{each.count}</td><td>{each.percent_male ?? "–"}</td></tr>)}</tbody>
              </table>
            </div>
          )}
          {found.rows.length ? (
            <div class="table-box" tabIndex={0} role="region" aria-label="Rows of the report">
              <table class="table">
                <caption>{found.rows.length} rows{found.rows.length > 500 ? ", of which 500 are shown; the CSV has all" : ""}</caption>
                <thead><tr>{columns.map((each) => <th key={each} scope="col">{words(each)}</th>)}</tr></thead>
                <tbody>{found.rows.slice(0, 500).map((each, i) => <tr key={i} class={each.few && found.to <= today() ? "low" : ""}>{columns.map((one) => <td key={one}>{one === "nickname" ? <a href={href("mouse", text(each[one]))}>{text(each[one])}</a> : cell(each[one])}</td>)}</tr>)}</tbody>
              </table>
            </div>
          ) : <Empty title="Nothing to report">No animal of {lab.value} is in it for these days.</Empty>}
        </>
      )}
    </>
  );
}
