// The lab's task board: what failed and why, what waits, which workers are there.
import { useEffect, useState } from "preact/hooks";
import { get, Refused } from "../data/api.ts";
import { type Row, text } from "../data/model.ts";
import { lab } from "../data/session.ts";
import { saidTime } from "../data/time.ts";
import { perform, update } from "../data/undo.ts";
import { Empty, Failed } from "../parts/empty.tsx";
import { failed } from "./today.tsx";

interface Entry {
  id: string;
  name: string;
  session: string;
  reason: string | null;
  age: number;
  owner: string | null;
}

interface Board {
  counts: Record<string, number>;
  workers: Row[];
  errored: Entry[];
  waiting: Entry[];
  started: Entry[];
  held: Entry[];
  at: string;
}

const since = (seconds: number): string => (seconds < 5400 ? `${Math.round(seconds / 60)} min` : seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`);

function Entries({ title, found, again }: { title: string; found: Entry[]; again?: (tasks: Entry[]) => void }) {
  if (!found.length) return null;
  return (
    <section>
      <h2>{title}</h2>
      <ul class="rows">
        {found.map((each) => (
          <li key={each.id}>
            <span><strong>{each.name}</strong> <span class="muted">{each.session}</span><br /><span class="muted small">{since(each.age)}{each.reason ? ` · ${each.reason}` : ""}{each.owner ? ` · ${each.owner}` : ""}</span></span>
            {again && <button type="button" class="button" aria-label={`Try ${each.name} again`} onClick={() => again([each])}>Try again</button>}
          </li>
        ))}
      </ul>
    </section>
  );
}

export function Tasks() {
  const [board, setBoard] = useState<Board | string>("…");
  const [round, setRound] = useState(0);
  useEffect(() => {
    void get<Board>(`/board?lab=${encodeURIComponent(lab.value)}`)
      .then((found) => {
        setBoard(found);
        failed.value = found.counts.Errored ?? 0;
      })
      .catch((error: unknown) => setBoard(error instanceof Refused ? error.message : String(error)));
  }, [lab.value, round]);
  const again = async (found: Entry[]): Promise<void> => {
    for (const each of found) await perform(`Trying ${each.name} again`, [update("tasks", each.id, { status: "Waiting" })]);
    if (typeof board !== "string") setBoard({ ...board, errored: board.errored.filter((each) => !found.includes(each)) });
    failed.value = Math.max(0, failed.value - found.length);
  };
  if (typeof board === "string")
    return <><h1>Task board</h1>{board === "…" ? <p class="muted" role="status">…</p> : <Failed told={board} again={() => { setBoard("…"); setRound(round + 1); }} />}</>;
  return (
    <>
      <header class="page-head">
        <div><h1>Task board</h1><p class="muted">{saidTime(board.at)} · {Object.entries(board.counts).filter(([, n]) => n).map(([label, n]) => `${n} ${label.toLowerCase()}`).join(", ") || "no tasks"}</p></div>
        <span class="actions tight">
          <button type="button" class="button" onClick={() => setRound(round + 1)}>Refresh</button>
          {board.errored.length > 0 && <button type="button" class="primary" onClick={() => void again(board.errored)}>Try all again</button>}
        </span>
      </header>
      <Entries title="Failed" found={board.errored} again={(found) => void again(found)} />
      <Entries title="Held" found={board.held} />
      <Entries title="Running" found={board.started} />
      <Entries title="Waiting" found={board.waiting} />
      {!board.errored.length && !board.held.length && !board.started.length && !board.waiting.length && <Empty title="Nothing waits, nothing failed" />}
      <h2>Workers</h2>
      {board.workers.length ? <ul class="plain">{board.workers.map((each) => <li key={text(each.name ?? each.id)}>{text(each.name ?? each.worker ?? each.id)} <span class="muted small">{saidTime(each.at ?? each.seen)} {text(each.doing ?? each.state)}</span></li>)}</ul> : <p class="muted">No worker has reported.</p>}
    </>
  );
}
