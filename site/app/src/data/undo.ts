// Take back what was done: what was not sent is dropped, what was is undone by the server.
import { signal } from "@preact/signals";
import { type Answer, send, wording } from "./api.ts";
import { type Group, type Row, uuid, type Write } from "./model.ts";
import { act, type Deed, groups, takeBack } from "./outbox.ts";
import { me } from "./session.ts";
import { pull } from "./sync.ts";

export interface Toast {
  id: string;
  text: string;
  group?: string;
  tone: "plain" | "bad";
}

export const toast = signal<Toast | undefined>(undefined);

/** What was done on this page, newest last; `u` takes the last one back. */
const done: Group[] = [];

/** Groups under which the server keeps what was sent by a route of its own. */
const kept = new Map<string, string>();

/** Note under which group the server keeps something. */
export function keptAs(id: string, answer: Answer): void {
  const named = (answer.body as { group?: unknown } | null)?.group;
  if (typeof named === "string") kept.set(id, named);
}

let timer: ReturnType<typeof setTimeout> | undefined;

export function tell(said: string, group?: string, tone: Toast["tone"] = "plain"): void {
  clearTimeout(timer);
  toast.value = { id: uuid(), text: said, group, tone };
  timer = setTimeout(() => (toast.value = undefined), group ? 20_000 : 6000);
}

/** Do something: kept on the device at once, sent as soon as may be, one Undo. */
export async function perform(what: string, writes: Write[], more: Partial<Deed> = {}): Promise<Group> {
  const group = await act(me.value?.username ?? "", { what, writes, ...more });
  done.push(group);
  tell(what, group.id);
  return group;
}

/** Undo a group by its id. */
export async function undo(id: string): Promise<void> {
  const deed = done.find((each) => each.id === id);
  const what = deed?.what ?? "that";
  if (groups.value.some((each) => each.id === id) && (await takeBack(id))) {
    forget(id);
    tell(`Taken back: ${what}`);
    return;
  }
  const answer = await send("POST", `/audit/${kept.get(id) ?? id}/undo`, {});
  if (answer.status >= 200 && answer.status < 300) {
    forget(id);
    tell(`Undone: ${what}`);
    await pull();
  } else if (answer.status === 0) {
    tell("This was sent already. Undoing it needs a connection.", undefined, "bad");
  } else tell(`Not undone. ${wording(answer.status, answer.body)}`, undefined, "bad");
}

function forget(id: string): void {
  const at = done.findIndex((each) => each.id === id);
  if (at >= 0) done.splice(at, 1);
}

/** Undo the last thing done on this page. */
export function undoLast(): void {
  const last = done.at(-1);
  if (last) void undo(last.id);
  else tell("Nothing to undo on this page. Older changes are under Changes.");
}

export const create = (resource: string, body: Row): Write => ({ op: "create", resource, body: { id: uuid(), ...body } });

export const update = (resource: string, key: string, body: Row): Write => ({ op: "update", resource, key, body });

export const remove = (resource: string, key: string): Write => ({ op: "delete", resource, key });
