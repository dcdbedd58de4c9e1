// The replica follows the server's change feed.
import { signal } from "@preact/signals";
import { as, get, holder, Refused, stranger } from "./api.ts";
import { everything, fold, FOLD, forgetReplica, keep, meta, setMeta } from "./db.ts";
import { formsHash } from "./forms.ts";
import { type Change, CLOSED, type Row } from "./model.ts";
import { nudge, unsent } from "./outbox.ts";
import { refreshMe } from "./session.ts";
import { clear, confirmed, take } from "./store.ts";
import { refreshWater } from "./water.ts";

export const EVERY = 30_000;
/** Milliseconds between looks at the feed while the app is seen. */

/** Rows of a kind by columns, as a first load has them. */
interface Block {
  kind: string;
  key: string;
  keys: string[];
  versions: number[];
  fields: string[];
  columns: unknown[][];
  /** Places of the rows that the account may not change. */
  closed?: number[];
}

interface Page {
  rows: (Change & { closed?: boolean })[];
  blocks: Block[];
  next: string;
  more: boolean;
  forms: string;
}

/** A changed row, marked if the account may not change it. */
function marked({ closed, ...change }: Change & { closed?: boolean }): Change {
  return closed && change.row ? { ...change, row: { ...change.row, [CLOSED]: true } } : change;
}

function unpacked(block: Block): Change[] {
  const closed = new Set(block.closed);
  return block.keys.map((key, i) => {
    const row: Row = { [block.key]: key };
    if (closed.has(i)) row[CLOSED] = true;
    block.fields.forEach((name, j) => (row[name] = block.columns[j]![i]));
    return { kind: block.kind, key, version: block.versions[i]!, row };
  });
}

/** How the replica stands: never loaded, being loaded for the first time, there. */
export const replica = signal<"none" | "loading" | "there">("none");
export const loaded = signal(0);
export const newer = signal(false);
export const syncedAt = signal<string | undefined>(undefined);
export const syncError = signal("");

let cursor: string | undefined;
let journal = 0;

/** Counts whose replica this is: what was asked for somebody who left is not taken in. */
let era = 0;

/** Read the device's copy into memory. */
export async function restore(): Promise<void> {
  const found = await everything();
  clear();
  take(found.changes);
  cursor = found.cursor;
  journal = found.journal;
  syncedAt.value = await meta("synced");
  if (cursor !== undefined && (await meta("whole"))) replica.value = "there";
  if (journal > FOLD) void idle(tidy);
}

async function tidy(): Promise<void> {
  journal = 0;
  await fold(confirmed());
}

const idle = (job: () => Promise<void>): Promise<void> =>
  new Promise((resolve) => {
    const wait = (window as Partial<Window>).requestIdleCallback ?? ((run: () => void) => setTimeout(run, 200));
    wait(() => void job().then(resolve));
  });

let pulling: Promise<void> | undefined;

/** Fetch what changed; one at a time. */
export function pull(): Promise<void> {
  pulling ??= fetchAll().finally(() => (pulling = undefined));
  return pulling;
}

async function fetchAll(): Promise<void> {
  const first = replica.value !== "there";
  const mine = era;
  if (first) {
    replica.value = "loading";
    loaded.value = 0;
  }
  try {
    for (;;) {
      const query = cursor === undefined ? "" : `?since=${encodeURIComponent(cursor)}`;
      const page = await get<Page>(`/changes${query}`, as(holder.value));
      if (mine !== era) return;
      const changes = [...page.blocks.flatMap(unpacked), ...page.rows.map(marked)];
      await keep(changes, page.next);
      take(changes);
      cursor = page.next;
      journal += changes.length;
      loaded.value += changes.length;
      newer.value = page.forms !== formsHash.value;
      if (!page.more) break;
    }
    if (first) {
      await tidy();
      await setMeta("whole", true);
    }
    replica.value = "there";
    syncError.value = "";
    syncedAt.value = new Date().toISOString();
    await setMeta("synced", syncedAt.value);
    if (journal > FOLD) void idle(tidy);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 410) {
      // The device was away longer than the feed goes back.
      await forgetReplica();
      await setMeta("whole", false);
      cursor = undefined;
      replica.value = "none";
      clear();
      return fetchAll();
    }
    if (error.status) syncError.value = error.message;
    if (first && replica.value === "loading") replica.value = "none";
  }
}

let round: ReturnType<typeof setTimeout> | undefined;

/** Send what waits, fetch what changed, and do so again while somebody looks. */
export async function follow(): Promise<void> {
  clearTimeout(round);
  if (!stranger.value) {
    nudge();
    await pull();
    await Promise.all([refreshMe(), refreshWater()]);
  }
  if (document.visibilityState === "visible") round = setTimeout(() => void follow(), unsent.value.length ? 5000 : EVERY);
}

/** Begin to follow; the browser's own word that it is online is not enough everywhere. */
export function start(): void {
  addEventListener("online", () => void follow());
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && void follow());
  void follow();
}

/** Forget the replica in memory. */
export function reset(): void {
  era++;
  clearTimeout(round);
  cursor = undefined;
  journal = 0;
  replica.value = "none";
  clear();
}
