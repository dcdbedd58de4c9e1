// The device's own store. Rows lie in blocks, since one record a row is a hundred times slower.
import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { Change, Group, Row } from "./model.ts";

export const BLOCK = 500;
/** Rows of a block. */

export const FOLD = 1500;
/** Changes in the journal after which it is folded into the blocks. */

export type Packed = [key: string, version: number, row: Row];

/** A picture that waits to be sent. */
export interface Photo {
  id: string;
  at: string;
  lab: string;
  blob: Blob;
  /** Whether its bytes are where they belong. */
  sent?: boolean;
}

interface Schema extends DBSchema {
  blocks: { key: [string, number]; value: { kind: string; n: number; rows: Packed[] } };
  journal: { key: number; value: Change[] };
  meta: { key: string; value: unknown };
  outbox: { key: string; value: Group; indexes: { at: string } };
  drafts: { key: string; value: { at: string; values: Row } };
  photos: { key: string; value: Photo };
}

export type Db = IDBPDatabase<Schema>;

export const STORES = ["blocks", "journal", "meta", "outbox", "drafts", "photos"] as const;

let opened: Promise<Db> | undefined;

/** Open the store once; another tab's newer version closes this one. */
export function db(): Promise<Db> {
  opened ??= openDB<Schema>("fornix-notebook", 1, {
    upgrade(made) {
      made.createObjectStore("blocks", { keyPath: ["kind", "n"] });
      made.createObjectStore("journal", { autoIncrement: true });
      made.createObjectStore("meta");
      made.createObjectStore("outbox", { keyPath: "id" }).createIndex("at", "at");
      made.createObjectStore("drafts");
      made.createObjectStore("photos", { keyPath: "id" });
    },
    blocking: (_, __, event) => (event.target as IDBDatabase).close(),
    terminated: () => (opened = undefined),
  });
  return opened;
}

export async function meta<T>(name: string): Promise<T | undefined> {
  return (await (await db()).get("meta", name)) as T | undefined;
}

/** Whether nobody is here whose data may be kept: answers that are still on their way are dropped. */
let closed = false;

export const admit = (): void => void (closed = false);

export async function setMeta(name: string, value: unknown): Promise<void> {
  if (closed) return;
  await (await db()).put("meta", value, name);
}

/** Keep a page of changes and the place after it in one transaction: both or neither. */
export async function keep(changes: Change[], cursor: string): Promise<void> {
  if (closed) return;
  const tx = (await db()).transaction(["journal", "meta"], "readwrite");
  if (changes.length) await tx.objectStore("journal").add(changes);
  await tx.objectStore("meta").put(cursor, "cursor");
  await tx.done;
}

/** Write all rows as blocks and empty the journal, in one transaction. */
export async function fold(tables: Map<string, Map<string, { version: number; row: Row }>>): Promise<void> {
  if (closed) return;
  const tx = (await db()).transaction(["blocks", "journal"], "readwrite");
  await Promise.all([tx.objectStore("blocks").clear(), tx.objectStore("journal").clear()]);
  for (const [kind, rows] of tables) {
    const packed: Packed[] = [...rows].map(([key, each]) => [key, each.version, each.row]);
    for (let n = 0; n * BLOCK < packed.length; n++)
      void tx.objectStore("blocks").put({ kind, n, rows: packed.slice(n * BLOCK, (n + 1) * BLOCK) });
  }
  await tx.done;
}

/** Read everything: blocks, then what changed since. */
export async function everything(): Promise<{ changes: Change[]; cursor?: string; journal: number }> {
  const tx = (await db()).transaction(["blocks", "journal", "meta"]);
  const [blocks, journal, cursor] = await Promise.all([
    tx.objectStore("blocks").getAll(),
    tx.objectStore("journal").getAll(),
    tx.objectStore("meta").get("cursor"),
  ]);
  await tx.done;
  const changes = blocks.flatMap(({ kind, rows }) =>
    rows.map(([key, version, row]): Change => ({ kind, key, version, row })),
  );
  const later = journal.flat();
  return { changes: [...changes, ...later], cursor: cursor as string | undefined, journal: later.length };
}

/** Forget the replica, for a load from the beginning; what waits to be sent stays. */
export async function forgetReplica(): Promise<void> {
  const tx = (await db()).transaction(["blocks", "journal", "meta"], "readwrite");
  await Promise.all([
    tx.objectStore("blocks").clear(),
    tx.objectStore("journal").clear(),
    tx.objectStore("meta").delete("cursor"),
  ]);
  await tx.done;
}

/** Forget everything on the device, and keep nothing until somebody is admitted. */
export async function wipe(): Promise<void> {
  closed = true;
  const tx = (await db()).transaction([...STORES], "readwrite");
  await Promise.all(STORES.map((name) => tx.objectStore(name).clear()));
  await tx.done;
}
