// The week's sessions, one session with its notes, files and tasks; and who was trained when.
import { useEffect, useState } from "preact/hooks";
import { get, Refused } from "../data/api.ts";
import { list, num, type Row, text } from "../data/model.ts";
import { month, name, restricted, trainedOn, week } from "../data/select.ts";
import { lab } from "../data/session.ts";
import { row, rows } from "../data/store.ts";
import { day, daysBetween, said, saidTime, today, wall } from "../data/time.ts";
import { Empty } from "../parts/empty.tsx";
import { Figures } from "../parts/figures.tsx";
import { Picture, picturesOf } from "../parts/picture.tsx";
import { href, place } from "../parts/router.ts";
import { openSheet } from "../parts/sheet.tsx";
import { Note } from "./actions.tsx";
import { add, History } from "./lists.tsx";
import { Made, type Output, Outputs, type RunRecord, since } from "./task.tsx";
import { form } from "../data/forms.ts";

const mine = (): Row[] => rows("session").filter((each) => each.lab === lab.value);

function Weeks({ shift, set }: { shift: number; set: (shift: number) => void }) {
  return (
    <div class="segments" role="group" aria-label="Which week">
      <button type="button" aria-label="Week before" onClick={() => set(shift - 1)}>‹</button>
      <button type="button" aria-pressed={shift === 0} onClick={() => set(0)}>This week</button>
      <button type="button" aria-label="Week after" onClick={() => set(shift + 1)}>›</button>
    </div>
  );
}

const short = (on: string): string => new Intl.DateTimeFormat("en-GB", { weekday: "short", timeZone: "UTC" }).format(new Date(on + "T00:00:00Z"));

const monthName = (on: string): string => new Intl.DateTimeFormat("en-GB", { month: "long", year: "numeric", timeZone: "UTC" }).format(new Date(on + "T00:00:00Z"));

/** How many sessions each day of a month has; a day leads to its week. */
function Month({ shift, set, open }: { shift: number; set: (shift: number) => void; open: (on: string) => void }) {
  const weeks = month(today(), shift);
  const count = new Map<string, number>();
  for (const each of mine()) count.set(day(each.start_time), (count.get(day(each.start_time)) ?? 0) + 1);
  const called = monthName(weeks[1]![0]!);
  return (
    <>
      <div class="segments" role="group" aria-label="Which month">
        <button type="button" aria-label="Month before" onClick={() => set(shift - 1)}>‹</button>
        <button type="button" aria-pressed={shift === 0} onClick={() => set(0)}>This month</button>
        <button type="button" aria-label="Month after" onClick={() => set(shift + 1)}>›</button>
      </div>
      <table class="month">
        <caption>{called}</caption>
        <thead><tr>{week(today()).map((on) => <th key={on} scope="col">{short(on)}</th>)}</tr></thead>
        <tbody>
          {weeks.map((days) => (
            <tr key={days.join()}>
              {days.map((on, place) => (
                <td key={place} class={on === today() ? "now" : ""}>
                  {on && (
                    <button type="button" class="quiet" aria-label={`${said(on)}: ${count.get(on) ?? "no"} ${count.get(on) === 1 ? "session" : "sessions"}`} onClick={() => open(on)}>
                      <span class="muted small">{Number(on.slice(8))}</span>
                      <strong>{count.get(on) ?? ""}</strong>
                    </button>
                  )}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

export function Sessions() {
  const [shift, setShift] = useState(0);
  const [months, setMonths] = useState<number | undefined>(undefined);
  const days = week(today(), shift);
  const found = mine().filter((each) => days.includes(day(each.start_time)));
  const open = (on: string): void => {
    setShift(daysBetween(week(today())[0]!, week(on)[0]!) / 7);
    setMonths(undefined);
  };
  const head = (
    <header class="page-head">
      <h1>Sessions</h1>
      <div class="segments" role="group" aria-label="How long">
        <button type="button" aria-pressed={months === undefined} onClick={() => setMonths(undefined)}>Week</button>
        <button type="button" aria-pressed={months !== undefined} onClick={() => setMonths(0)}>Month</button>
      </div>
      <button type="button" class="primary" data-new onClick={() => add(form("sessions"))}>New</button>
    </header>
  );
  if (months !== undefined) return <>{head}<Month shift={months} set={setMonths} open={open} /></>;
  return (
    <>
      {head}
      <Weeks shift={shift} set={setShift} />
      <ol class="week">
        {days.map((on) => {
          const theirs = found.filter((each) => day(each.start_time) === on).sort((a, b) => wall(a.start_time).localeCompare(wall(b.start_time)));
          return (
            <li key={on} class={on === today() ? "now" : ""}>
              <h2>{short(on)} <span class="muted">{said(on)}</span></h2>
              {theirs.length ? (
                <ul class="plain">
                  {theirs.map((each) => (
                    <li key={text(each.id)}>
                      <a class="session-link" href={href("session", text(each.id))}><strong>{text(each.subject)}</strong> <span class="muted small">{wall(each.start_time).slice(11, 16)} {text(each.task_protocol).slice(0, 40)}</span></a>
                    </li>
                  ))}
                </ul>
              ) : <p class="muted small">–</p>}
            </li>
          );
        })}
      </ol>
    </>
  );
}

interface Files {
  data_dataset_session_related?: { id: string; name: string; collection?: string; file_size?: number }[];
}

interface Board {
  tasks: { id: string; name: string; status: string; reason: string | null; age: number; expected: Output[]; run_record: RunRecord | null }[];
  expected: number;
  present: number;
  not_processed: string[];
  time_to_result: number | null;
}

export function Session() {
  const id = place.value.parts[0] ?? "";
  const local = row("session", id);
  const [found, setFound] = useState<Row | undefined>(undefined);
  const [error, setError] = useState("");
  useEffect(() => {
    if (!local) void get<Row>(`/sessions/${id}`).then(setFound).catch((problem: unknown) => setError(problem instanceof Refused ? problem.message : String(problem)));
  }, [id, !local]);
  const session = { ...found, ...local };
  if (!local && !found) return <Empty whole title={error || "…"}><a href={href("sessions")}>Sessions</a></Empty>;
  const notes = rows("note").filter((each) => each.object_id === id).sort((a, b) => wall(b.date_time).localeCompare(wall(a.date_time)));
  const called = `${text(session.subject)}, ${saidTime(session.start_time)}`;
  const trials = num(session.n_trials);
  return (
    <>
      <header class="page-head">
        <div><p class="crumb"><a href={href("sessions")}>Sessions</a></p><h1>{text(session.subject)}</h1><p class="muted">{saidTime(session.start_time)} · {text(session.task_protocol)}</p></div>
        <button type="button" class="primary" data-new onClick={() => openSheet(`Note on ${called}`, () => <Note about="session" ids={[id]} what={`Note on ${called}`} />)}>Note</button>
      </header>
      <dl class="facts">
        <div><dt>Mouse</dt><dd><a href={href("mouse", text(session.subject))}>{text(session.subject)}</a></dd></div>
        <div><dt>Users</dt><dd>{list(session.users).join(", ") || "–"}</dd></div>
        <div><dt>Trials</dt><dd>{trials ? `${trials}${num(session.n_correct_trials) ? `, ${Math.round((100 * num(session.n_correct_trials)!) / trials)} % correct` : ""}` : "–"}</dd></div>
        <div><dt>QC</dt><dd>{text(session.qc) || "–"}</dd></div>
        <div><dt>Projects</dt><dd>{list(session.projects).join(", ") || "–"}</dd></div>
      </dl>
      <Figures kind="sessions" of={id} lab={text(session.lab)} called={called} drawn={!!trials} />
      {session.narrative ? <><h2>Narrative</h2><p class="preview">{text(session.narrative)}</p></> : null}
      <h2>Notes</h2>
      {notes.length ? notes.map((each) => (
        <article key={text(each.id)} class="note">
          <p class="muted small">{text(each.user)}, {saidTime(each.date_time)}</p>
          <p>{text(each.text)}</p>
          {picturesOf(each).map((one) => <Picture key={one.id ?? one.src} {...one} width={800} alt={text(each.text) || "Picture of the note"} />)}
        </article>
      )) : <p class="muted">None yet.</p>}
      <Contents id={id} />
      <History kind="session" record={id} id={id} />
    </>
  );
}

/** Files and tasks of a session, asked for when somebody wants to see them. */
function Contents({ id }: { id: string }) {
  const [board, setBoard] = useState<Board | undefined>(undefined);
  const [files, setFiles] = useState<NonNullable<Files["data_dataset_session_related"]>>([]);
  const [told, setTold] = useState("");
  const load = (): void => {
    setTold("…");
    void Promise.all([get<Files>(`/sessions/${id}`), get<Board>(`/board/${id}`)])
      .then(([session, tasks]) => {
        setFiles(session.data_dataset_session_related ?? []);
        setBoard(tasks);
        setTold("");
      })
      .catch((problem: unknown) => setTold(problem instanceof Refused ? problem.message : String(problem)));
  };
  return (
    <details onToggle={(event) => event.currentTarget.open && !board && load()}>
      <summary>Files and tasks</summary>
      {told && <p class="muted" role="status">{told}</p>}
      {board && <p>{board.present} of {board.expected} expected files are there{board.time_to_result === null ? "" : `, ${since(board.time_to_result)} after the upload`}.</p>}
      {board?.not_processed.map((each) => <p key={each}>{each}</p>)}
      {board?.tasks.map((each) => (
        <details key={each.id}>
          <summary>{each.name} <span class={`badge ${each.status === "Errored" ? "bad" : ""}`}>{each.status}</span> <span class="muted small">{each.status === "Complete" ? "" : each.reason ?? ""}</span></summary>
          <Outputs found={each.expected} />
          {each.run_record && <Made record={each.run_record} id={each.id} />}
        </details>
      ))}
      <ul class="plain small">{files.map((each) => <li key={each.id}>{[each.collection, each.name].filter(Boolean).join("/")}</li>)}</ul>
    </details>
  );
}

const ENOUGH = 5;
/** Training days of a week that a restricted animal should have. */

export function Training() {
  const [shift, setShift] = useState(0);
  const days = week(today(), shift);
  const shown = restricted.value;
  return (
    <>
      <header class="page-head"><h1>Training</h1></header>
      <Weeks shift={shift} set={setShift} />
      {shown.length ? (
        <div class="table-box" tabIndex={0} role="region" aria-label="Training days">
          <table class="table">
            <caption>Restricted animals, week of {said(days[0])}</caption>
            <thead><tr><th scope="col">Mouse</th>{days.map((each) => <th key={each} scope="col">{short(each)}</th>)}<th scope="col">Days</th></tr></thead>
            <tbody>
              {shown.map((each) => {
                const on = trainedOn(name(each));
                const count = days.filter((one) => on.has(one)).length;
                return (
                  <tr key={name(each)} class={count < ENOUGH && days[6]! <= today() ? "low" : ""}>
                    <th scope="row"><a class="row-link" href={href("mouse", name(each))}>{name(each)}</a></th>
                    {days.map((one) => <td key={one}>{on.has(one) ? <span aria-label="trained">✓</span> : <span class="muted" aria-label="not trained">·</span>}</td>)}
                    <td>{count}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      ) : <Empty title="No animal is restricted">Animals under water restriction are shown with the days on which they had a session.</Empty>}
    </>
  );
}
