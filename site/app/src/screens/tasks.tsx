// The lab's task board: what failed and why, what waits, which workers are there.
import { useEffect, useState } from "preact/hooks";
import { get, Refused } from "../data/api.ts";
import { type Row } from "../data/model.ts";
import { lab } from "../data/session.ts";
import { saidTime } from "../data/time.ts";
import { perform, update } from "../data/undo.ts";
import { Empty, Failed } from "../parts/empty.tsx";
import { closeSheet, openSheet } from "../parts/sheet.tsx";
import { since, type TaskEntry, TaskSheet } from "./task.tsx";
import { failed } from "./today.tsx";

interface Worker {
  at: string;
  report: { worker: string; state: string; reason?: string | null; version?: string; capabilities?: { disk: number; cpu: number; gpu: number } | null };
}

interface Board {
  counts: Record<string, number>;
  workers: Worker[];
  errored: TaskEntry[];
  waiting: TaskEntry[];
  started: TaskEntry[];
  held: TaskEntry[];
  at: string;
  oldest_waiting: number;
  median_seconds: Record<string, number>;
  time_to_result: number | null;
  silent: string | null;
}

const LISTS = [["errored", "Failed"], ["held", "Held"], ["started", "Running"], ["waiting", "Waiting"]] as const;

function Entries({ title, found, again, open }: { title: string; found: TaskEntry[]; again?: (tasks: TaskEntry[]) => void; open: (task: TaskEntry) => void }) {
  if (!found.length) return null;
  return (
    <section>
      <h2>{title}</h2>
      <ul class="rows">
        {found.map((each) => (
          <li key={each.id}>
            <button type="button" class="quiet left" onClick={() => open(each)}><strong>{each.name}</strong> <span class="muted">{each.session}</span><br /><span class="muted small">{each.reason ? `${each.reason} · ` : ""}{since(each.age)}{each.owner ? ` · ${each.owner}` : ""}</span></button>
            {again && <button type="button" class="button" aria-label={`Try ${each.name} again`} onClick={() => again([each])}>Try again</button>}
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Does an entry have all the words, in its task, session or reason? */
const has = (each: TaskEntry, words: string): boolean =>
  words.toLowerCase().split(/\s+/).every((word) => `${each.name} ${each.session} ${each.reason ?? ""}`.toLowerCase().includes(word));

function Workers({ found }: { found: Worker[] }) {
  if (!found.length) return <p class="muted">No worker has reported.</p>;
  return (
    <ul class="plain">
      {found.map(({ at, report }) => (
        <li key={report.worker}>
          {report.worker} <span class={`badge ${report.state === "resting" ? "bad" : ""}`}>{report.state}</span>
          {report.reason && <> {report.reason}</>}
          <br /><span class="muted small">{saidTime(at)} · Fornix {report.version ?? "?"}{report.capabilities ? ` · ${report.capabilities.cpu} cores, ${(report.capabilities.disk / 2 ** 30).toFixed(1)} GB free` : ""}</span>
        </li>
      ))}
    </ul>
  );
}

export function Tasks() {
  const [board, setBoard] = useState<Board | string>("…");
  const [round, setRound] = useState(0);
  const [words, setWords] = useState("");
  useEffect(() => {
    void get<Board>(`/board?lab=${encodeURIComponent(lab.value)}`)
      .then((found) => {
        setBoard(found);
        failed.value = found.counts.Errored ?? 0;
      })
      .catch((error: unknown) => setBoard(error instanceof Refused ? error.message : String(error)));
  }, [lab.value, round]);
  const change = async (found: TaskEntry[], what: string, values: Row): Promise<void> => {
    closeSheet();
    const ids = new Set(found.map((each) => each.id));
    for (const each of found) await perform(`${what.replace("%", each.name)}`, [update("tasks", each.id, values)]);
    if (typeof board === "string") return;
    const gone = board.errored.filter((each) => ids.has(each.id)).length;
    setBoard({ ...board, ...Object.fromEntries(LISTS.map(([key]) => [key, board[key].filter((each) => !ids.has(each.id))])) });
    failed.value = Math.max(0, failed.value - gone);
  };
  const again = (found: TaskEntry[]): void => void change(found, "Trying % again", { status: "Waiting" });
  const cancel = (found: TaskEntry[]): void => void change(found, "Giving % up", { status: "Abandoned" });
  const hold = (found: TaskEntry[], reason: string): void => void change(found, "Holding %", { status: "Held", hold: reason });
  const open = (each: TaskEntry): void => openSheet(each.name, () => <TaskSheet entry={each} again={again} cancel={cancel} hold={hold} />);
  if (typeof board === "string")
    return <><h1>Task board</h1>{board === "…" ? <p class="muted" role="status">…</p> : <Failed told={board} again={() => { setBoard("…"); setRound(round + 1); }} />}</>;
  const shown = Object.fromEntries(LISTS.map(([key]) => [key, words ? board[key].filter((each) => has(each, words)) : board[key]])) as Record<(typeof LISTS)[number][0], TaskEntry[]>;
  const stopped = [...shown.errored, ...shown.held];
  const listed = LISTS.reduce((count, [key]) => count + board[key].length, 0);
  return (
    <>
      <header class="page-head">
        <div><h1>Task board</h1><p class="muted">{saidTime(board.at)} · {Object.entries(board.counts).filter(([, n]) => n).map(([label, n]) => `${n} ${label.toLowerCase()}`).join(", ") || "no tasks"}</p></div>
        <span class="actions tight">
          <button type="button" class="button" onClick={() => setRound(round + 1)}>Refresh</button>
          {!words && board.errored.length > 0 && <button type="button" class="primary" onClick={() => again(board.errored)}>Try all again</button>}
        </span>
      </header>
      {board.silent && <p class="error" role="alert">{board.silent}</p>}
      <dl class="facts">
        <div><dt>Longest wait</dt><dd>{board.oldest_waiting ? since(board.oldest_waiting) : "–"}</dd></div>
        <div><dt>From upload to result</dt><dd>{board.time_to_result === null ? "–" : since(board.time_to_result)}</dd></div>
        <div><dt>Failed</dt><dd>{board.counts.Errored ?? 0}</dd></div>
      </dl>
      {listed > 0 && <input class="input" type="search" aria-label="Find tasks" placeholder="Task, mouse, day or reason" value={words} onInput={(event) => setWords(event.currentTarget.value)} />}
      {words && stopped.length > 0 && (
        <p class="actions">
          <button type="button" class="primary" onClick={() => again(stopped)}>{`Try these ${stopped.length} again`}</button>
          <button type="button" class="button" onClick={() => cancel(stopped)}>{`Give these ${stopped.length} up`}</button>
        </p>
      )}
      {LISTS.map(([key, title]) => <Entries key={key} title={title} found={shown[key]} open={open} {...(key === "errored" || key === "held" ? { again } : {})} />)}
      {!listed && <Empty title="Nothing waits, nothing failed" />}
      {listed > 0 && words && !LISTS.some(([key]) => shown[key].length) && <Empty title="No such task">Logs are searched by <code>fornix task list --log TEXT</code>.</Empty>}
      <h2>Workers</h2>
      <Workers found={board.workers} />
    </>
  );
}
