// One task: why it stands as it does, its log while it runs, its session's outputs, how it was made.
import { useEffect, useState } from "preact/hooks";
import { get, Refused } from "../data/api.ts";
import { href } from "../parts/router.ts";
import { closeSheet } from "../parts/sheet.tsx";

export interface TaskEntry {
  id: string;
  name: string;
  session: string;
  reason: string | null;
  age: number;
  owner: string | null;
  lease_until: string | null;
  attempt: number;
}

export interface Output {
  path: string;
  required: boolean;
  present: boolean;
}

/** The record of a run: enough to run it again (`fornix rerun`). */
export interface RunRecord {
  version?: string;
  started?: string;
  elapsed?: number;
  worker?: string | null;
  host?: string | null;
  command?: string;
  inputs?: { path: string; sha256: string }[];
  outputs?: { path: string; sha256: string }[];
  environment?: Record<string, string | null>;
}

interface Whole {
  id: string;
  status: string;
  session: string;
  hold: string | null;
  log: string | null;
  attempt: number;
  owner: string | null;
  lease_until: string | null;
  run_record: RunRecord | null;
}

interface SessionBoard {
  name: string;
  tasks: { id: string; name: string; status: string; expected: Output[] }[];
  not_processed: string[];
}

export const since = (seconds: number): string =>
  seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;

/** Milliseconds between two looks at a running task. */
const LIVE = 5000;

export function Outputs({ found }: { found: Output[] }) {
  return (
    <ul class="plain small">
      {found.map((each) => <li key={each.path}><span aria-hidden="true">{each.present ? "✓" : "✗"}</span> <code>{each.path}</code> <span class="muted">{each.present ? "there" : each.required ? "missing" : "not there (optional)"}</span></li>)}
    </ul>
  );
}

export function Made({ record, id }: { record: RunRecord; id: string }) {
  return (
    <details>
      <summary>How it was made</summary>
      <dl class="facts">
        <div><dt>Code</dt><dd>Fornix {record.version ?? "?"}</dd></div>
        <div><dt>Began</dt><dd>{record.started?.slice(0, 19).replace("T", " ") ?? "–"} UTC</dd></div>
        <div><dt>Took</dt><dd>{record.elapsed === undefined ? "–" : since(record.elapsed)}</dd></div>
        <div><dt>Computer</dt><dd>{record.host ?? record.worker ?? "–"}</dd></div>
      </dl>
      {(["inputs", "outputs"] as const).map((side) => (
        <div key={side}>
          <h3>{side === "inputs" ? "Read" : "Written"}</h3>
          <ul class="plain small">{(record[side] ?? []).map((each) => <li key={each.path}><code>{each.path}</code> <span class="muted">SHA-256 {each.sha256.slice(0, 12)}…</span></li>)}</ul>
        </div>
      ))}
      <p class="muted small">{Object.entries(record.environment ?? {}).filter(([, value]) => value).map(([name, value]) => `${name} ${value}`).join(", ")}</p>
      <p>Run it again and compare: <code>fornix rerun {id}</code></p>
    </details>
  );
}

interface Acts {
  entry: TaskEntry;
  again: (tasks: TaskEntry[]) => void;
  cancel: (tasks: TaskEntry[]) => void;
  hold: (tasks: TaskEntry[], reason: string) => void;
}

export function TaskSheet({ entry, again, cancel, hold }: Acts) {
  const [task, setTask] = useState<Whole | undefined>(undefined);
  const [board, setBoard] = useState<SessionBoard | undefined>(undefined);
  const [told, setTold] = useState("…");
  const [reason, setReason] = useState("");
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;
    const look = async (): Promise<void> => {
      try {
        const found = await get<Whole>(`/tasks/${entry.id}`);
        if (over) return;
        setTask(found);
        setTold("");
        if (found.status === "Started") timer = setTimeout(() => void look(), LIVE);
        else setBoard(await get<SessionBoard>(`/board/${found.session.split("/").pop()}`));
      } catch (problem) {
        if (!over) setTold(problem instanceof Refused ? problem.message : String(problem));
      }
    };
    void look();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [entry.id]);
  const own = board?.tasks.find((each) => each.id === entry.id);
  const session = task?.session.split("/").pop() ?? "";
  return (
    <>
      <p>{task ? <a href={href("session", session)} onClick={closeSheet}>{entry.session}</a> : entry.session} <span class={`badge ${task?.status === "Errored" ? "bad" : ""}`}>{task?.status ?? "…"}</span></p>
      {(task?.hold ?? entry.reason) && <p><strong>{task?.hold ?? entry.reason}</strong></p>}
      <p class="muted small">{since(entry.age)} since the last change, attempt {task?.attempt ?? entry.attempt}{task?.owner ? ` by ${task.owner}` : ""}{task?.lease_until && task.status === "Started" ? `, its lease ends ${task.lease_until.slice(11, 19)} UTC` : ""}</p>
      {told && <p class="muted" role="status">{told}</p>}
      {own && <Outputs found={own.expected} />}
      {board?.not_processed.map((each) => <p key={each} class="muted small">{each}</p>)}
      {task && <><h3>Log</h3>{task.log ? <pre class="preview log" tabIndex={0}>{task.log}</pre> : <p class="muted">Nothing yet.</p>}</>}
      {task?.run_record && <Made record={task.run_record} id={task.id} />}
      <p class="actions">
        {task && task.status !== "Started" && task.status !== "Waiting" && <button type="button" class="primary" onClick={() => again([entry])}>Try again</button>}
        {task && task.status !== "Abandoned" && <button type="button" class="button" onClick={() => cancel([entry])}>Give up</button>}
      </p>
      {task && ["Waiting", "Errored", "Started"].includes(task.status) && (
        <form class="actions" onSubmit={(event) => { event.preventDefault(); if (reason.trim()) hold([entry], reason.trim()); }}>
          <input class="input" aria-label="Why it is to be held" placeholder="Why it is to be held" required value={reason} onInput={(event) => setReason(event.currentTarget.value)} />
          <button type="submit" class="button">Hold</button>
        </form>
      )}
    </>
  );
}
