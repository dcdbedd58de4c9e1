// The replica in memory: what the server confirmed, and what this device did since on top of it.
import { batch, type Signal, signal } from "@preact/signals";
import { kinds, resources } from "./forms.ts";
import type { Change, Group, Row, Stored, Write } from "./model.ts";

export type Table = ReadonlyMap<string, Row>;

const base = new Map<string, Map<string, Stored>>();
const view = new Map<string, Map<string, Row>>();
const ticks = new Map<string, Signal<number>>();
let pending: Group[] = [];
let byRecord = new Map<string, Group[]>();

const EMPTY: Table = new Map();

function tick(kind: string): Signal<number> {
  let found = ticks.get(kind);
  if (!found) ticks.set(kind, (found = signal(0)));
  return found;
}

/** Return the rows of a kind by key; whoever reads them is told when they change. */
export function table(kind: string): Table {
  void tick(kind).value;
  return view.get(kind) ?? EMPTY;
}

export const rows = (kind: string): Row[] => [...table(kind).values()];

export const row = (kind: string, key: unknown): Row | undefined => table(kind).get(String(key));

/** Return a number that changes with the rows of the kinds. */
export const revision = (...names: string[]): string => names.map((name) => tick(name).value).join();

/** Return the confirmed version of a record, for `If-Match`; none if the server never told. */
export const versionOf = (kind: string, key: string): number | undefined => base.get(kind)?.get(key)?.version;

/** Return a record as the server has it, without what was done here since. */
export const theirs = (kind: string, key: string): Row | undefined => base.get(kind)?.get(key)?.row;

export const confirmed = (): Map<string, Map<string, Stored>> => base;

export const size = (): number => [...base.values()].reduce((sum, each) => sum + each.size, 0);

/** Whether something of a record waits to be sent. */
export const waiting = (kind: string, key: unknown): boolean => byRecord.has(`${kind} ${key}`);

/** Return the key of the record that a write makes or changes. */
export function keyOf(write: Write): string {
  if (write.key !== undefined) return write.key;
  const key = resources.get(write.resource)?.key ?? "id";
  return String(write.body?.[key] ?? write.body?.id ?? "");
}

/** Return what waits as it builds on what this device itself has just changed, and on nothing that
 * others changed since: their changes raise the version further. */
export function builtOn(group: Group, changes: Change[]): Group {
  if (group.state !== "waiting" || group.tries > 0) return group;
  const writes = group.writes.map((write) => {
    const kind = resources.get(write.resource)?.kind;
    const own = changes.find((each) => each.kind === kind && each.key === keyOf(write));
    return own && write.version === own.version - 1 ? { ...write, version: own.version } : write;
  });
  return writes.some((write, i) => write !== group.writes[i]) ? { ...group, writes } : group;
}

/** Return a row with its key where other records look for it. Answers of the API call animals by
 * their nicknames, which those of several labs may share; the feed and all references by their keys. */
function keyed(kind: string, key: string, each: Row): Row {
  const field = kinds.get(kind)?.key ?? "id";
  return field === "id" || each[field] === key ? each : { ...each, [field]: key };
}

/** Take in what the server says. A row older than the one here is an echo and is left. */
export function take(changes: Change[]): void {
  const touched = new Set<string>();
  for (const { kind, key, version, row: each } of changes) {
    const table = base.get(kind) ?? new Map<string, Stored>();
    base.set(kind, table);
    const old = table.get(key);
    if (old && old.version > version) continue;
    if (each) table.set(key, { version, row: keyed(kind, key, each) });
    else table.delete(key);
    refresh(kind, key);
    touched.add(kind);
  }
  announce(touched);
}

/** Say what waits to be sent, oldest first; it is shown as if it were done. */
export function overlay(groups: Group[]): void {
  const before = byRecord;
  pending = groups.filter((each) => each.state !== "done");
  byRecord = new Map();
  for (const group of pending)
    for (const write of shown(group)) {
      const kind = resources.get(write.resource)?.kind;
      if (!kind) continue;
      const name = `${kind} ${keyOf(write)}`;
      byRecord.set(name, [...(byRecord.get(name) ?? []), group]);
    }
  const touched = new Set<string>();
  for (const name of new Set([...before.keys(), ...byRecord.keys()])) {
    const at = name.indexOf(" ");
    refresh(name.slice(0, at), name.slice(at + 1));
    touched.add(name.slice(0, at));
  }
  announce(touched);
}

function refresh(kind: string, key: string): void {
  let now: Row | undefined = base.get(kind)?.get(key)?.row;
  for (const group of new Set(byRecord.get(`${kind} ${key}`)))
    for (const write of shown(group))
      if (resources.get(write.resource)?.kind === kind && keyOf(write) === key) now = applied(now, write);
  const old = view.get(kind) ?? new Map<string, Row>();
  // A new map, so that whoever kept the former one sees that it changed.
  const table = fresh.has(kind) ? old : new Map(old);
  fresh.add(kind);
  view.set(kind, table);
  if (now) table.set(key, now);
  else table.delete(key);
}

/** Kinds whose map was made anew in this round of changes. */
const fresh = new Set<string>();

function announce(touched: Iterable<string>): void {
  fresh.clear();
  batch(() => {
    for (const kind of touched) tick(kind).value++;
  });
}

const shown = (group: Group): Write[] => (group.shows ? [...group.writes, ...group.shows] : group.writes);

function applied(row: Row | undefined, write: Write): Row | undefined {
  if (write.op === "delete") return undefined;
  if (write.op === "update" && !row) return undefined;
  return { ...row, ...write.body };
}

/** Forget all rows in memory. */
export function clear(): void {
  for (const kind of new Set([...base.keys(), ...view.keys()])) {
    base.delete(kind);
    view.delete(kind);
    tick(kind).value++;
  }
}
