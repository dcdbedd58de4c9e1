// The outbox: every write of the app is kept here before it is sent, and until it is answered.
//
// A group's id makes it one thing for the server however often it is sent. So a page may be killed
// at any step: what was not answered is sent again, and the server answers what it answered before.
import { computed, signal } from "@preact/signals";
import { type Answer, as, fieldsOf, online, send, wording } from "./api.ts";
import { db } from "./db.ts";
import { resources } from "./forms.ts";
import type { Call, Change, Group, Row, Write } from "./model.ts";
import { uuid } from "./model.ts";
import { carry, dropPhotos, sweepPhotos } from "./pictures.ts";
import { builtOn, keyOf, overlay, take, versionOf } from "./store.ts";

export const ATOMIC = 20;
/** Writes that the server makes all or none. */

export const groups = signal<Group[]>([]);

export const unsent = computed(() => groups.value.filter((each) => each.state === "waiting" || each.state === "sending"));

export const stuck = computed(() => groups.value.filter((each) => each.state === "refused" || each.state === "conflict"));

/** What the server answers to a write of a batch. */
interface Result {
  status: number;
  key?: string;
  row?: Row | null;
  version?: number;
  errors?: Record<string, string[]>;
  detail?: string;
}

type After = (group: Group, answer: Answer) => Promise<void>;
let told: After = () => Promise.resolve();

/** Say who hears of what was answered. */
export function onAnswer(hear: After): void {
  told = hear;
}

const settle = new Map<string, (group: Group) => void>();

function show(next: Group[]): void {
  groups.value = next;
  overlay(next);
}

async function put(group: Group): Promise<void> {
  await (await db()).put("outbox", group);
  const others = groups.value.filter((each) => each.id !== group.id);
  show([...others, group].sort((a, b) => a.at.localeCompare(b.at) || a.id.localeCompare(b.id)));
}

async function drop(id: string): Promise<void> {
  await (await db()).delete("outbox", id);
  show(groups.value.filter((each) => each.id !== id));
}

/** Read what waits. What was being sent when the page ended is sent again. */
export async function load(): Promise<void> {
  const kept = await (await db()).getAllFromIndex("outbox", "at");
  show(kept.map((each) => (each.state === "sending" ? { ...each, state: "waiting" } : each)));
  await sweepPhotos(new Set(kept.flatMap((each) => each.photos ?? [])));
}

export interface Deed {
  what: string;
  writes: Write[];
  call?: Call;
  shows?: Write[];
  photos?: string[];
}

/** Keep what a person did and send it as soon as may be. Resolves when it is kept. */
export async function act(who: string, deed: Deed): Promise<Group> {
  const writes = deed.writes.map((write): Write => {
    const kind = resources.get(write.resource)?.kind ?? "";
    if (write.op === "create" || write.version !== undefined) return write;
    const version = versionOf(kind, keyOf(write));
    return version === undefined ? write : { ...write, version };
  });
  const at = new Date().toISOString();
  const group: Group = { id: uuid(), at, who, ...deed, writes, state: "waiting", tries: 0 };
  await put(group);
  void flush();
  return group;
}

/** Return the group as it is after the server has answered, or `wait` ms have passed. */
export function outcome(id: string, wait: number): Promise<Group | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(groups.value.find((each) => each.id === id)), wait);
    settle.set(id, (group) => {
      clearTimeout(timer);
      resolve(group);
    });
  });
}

let sending: Promise<void> | undefined;
let backOff = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Send what waits, in order, one tab at a time; returns when nothing more can be sent now. */
export function flush(): Promise<void> {
  sending ??= alone(drain).finally(() => (sending = undefined));
  return sending;
}

function alone(job: () => Promise<void>): Promise<void> {
  const locks = (navigator as Partial<Navigator>).locks;
  return locks ? locks.request("fornix-outbox", { ifAvailable: false }, job) : job();
}

async function drain(): Promise<void> {
  clearTimeout(timer);
  for (;;) {
    // What was never tried can be taken back here; so nothing is tried that cannot arrive.
    if (!navigator.onLine) {
      online.value = false;
      return;
    }
    const group = groups.value.find((each) => each.state === "waiting");
    if (!group) return;
    // Another tab may have sent it meanwhile.
    const kept = await (await db()).get("outbox", group.id);
    if (!kept || kept.state !== "waiting") {
      show(kept ? groups.value.map((each) => (each.id === kept.id ? kept : each)) : groups.value.filter((e) => e.id !== group.id));
      if (kept?.state !== "sending") continue;
    }
    const stays = await attempt({ ...group, state: "sending", tries: group.tries + 1 });
    if (stays) {
      backOff = Math.min(60_000, backOff ? backOff * 2 : 2000);
      timer = setTimeout(() => void flush(), backOff);
      return;
    }
    backOff = 0;
  }
}

/** Send a group once; returns whether it must be tried again later. */
async function attempt(group: Group): Promise<boolean> {
  await put(group);
  const answer = await request(group);
  const { status } = answer;
  if (status === 0 || status === 401 || status === 429 || status >= 500) {
    await put({ ...group, state: "waiting", message: status ? wording(status, answer.body) : undefined });
    return true;
  }
  const done: Change[] = [];
  const failed = judge(group, answer, done);
  for (const each of groups.value) {
    const built = builtOn(each, done);
    if (built !== each) await put(built);
  }
  if (!failed) {
    const sent: Group = { ...group, state: "done" };
    // What it became is fetched before it goes, so that nothing vanishes for a moment.
    await told(sent, answer);
    await dropPhotos(group.photos);
    await drop(group.id);
    settled(sent);
    return false;
  }
  await put(failed);
  settled(failed);
  void told(failed, answer);
  return false;
}

function settled(group: Group): void {
  settle.get(group.id)?.(group);
  settle.delete(group.id);
}

/** Send a group as the person who did it, whoever is at the device now. */
async function request(group: Group): Promise<Answer> {
  const who = as(group.who);
  const missing = await carry(group.photos, who);
  if (missing) return missing;
  if (group.call) {
    const { method, path, body } = group.call;
    return send(method, path, body, { "X-Fornix-Group": group.id, ...who });
  }
  const { id, what, writes } = group;
  const [one] = writes;
  if (one && writes.length === 1 && ALONE.has(one.resource)) return alone_(group, one);
  return send("POST", "/batch", { group: id, what, writes, atomic: writes.length <= ATOMIC }, who);
}

/** Resources that are written by their own routes alone: their records are more than one document. */
const ALONE = new Set(["sessions", "tasks", "datasets", "files", "downloads"]);

function alone_(group: Group, write: Write): Promise<Answer> {
  const own = `/${write.resource}/${encodeURIComponent(keyOf(write))}`;
  const headers = { "X-Fornix-Group": group.id, ...as(group.who) };
  if (write.op === "create") return send("POST", `/${write.resource}`, write.body, headers);
  return write.op === "update" ? send("PATCH", own, write.body, headers) : send("DELETE", own, undefined, headers);
}

/** What a batch, or a refused one, is answered with. */
interface Results {
  results?: Result[];
  /** What else was written: effects, as they are now. */
  rows?: Change[];
}

/** Take in what was done; return the group with what was refused, if anything was. */
function judge(group: Group, answer: Answer, done: Change[]): Group | undefined {
  const whole = answer.status >= 200 && answer.status < 300;
  const { results, rows } = (answer.body ?? {}) as Results;
  if (!results) {
    if (whole) return undefined;
    const state = answer.status === 409 || answer.status === 412 ? "conflict" : "refused";
    return { ...group, state, message: wording(answer.status, answer.body), errors: [fieldsOf(answer.body)] };
  }
  if (whole) done.push(...(rows ?? []));
  const left: Write[] = [];
  const errors: Record<string, string[]>[] = [];
  const messages = new Set<string>();
  let conflict = false;
  group.writes.forEach((write, i) => {
    const result = results[i];
    if (whole && result && result.status < 300) {
      const kind = resources.get(write.resource)?.kind ?? "";
      const key = result.key || keyOf(write);
      if (write.op === "delete" || result.row) done.push({ kind, key, version: result.version ?? 0, row: result.row ?? null });
      return;
    }
    left.push(write);
    errors.push(result?.errors ?? {});
    if (!result || result.status === OTHERS) return;
    if (result.status === 409 || result.status === 412) conflict = true;
    messages.add(wording(result.status, Object.keys(result.errors ?? {}).length ? result.errors : { detail: result.detail }));
  });
  take(done);
  if (!left.length) return undefined;
  // What was done of it is done; the rest is another thing, with an id of its own when sent again.
  const message = [...messages].join(" ") || wording(answer.status, answer.body);
  return { ...group, writes: left, errors, state: conflict ? "conflict" : "refused", message };
}

const OTHERS = 424;
/** Status of a write that was not tried, since another of its batch was refused. */

/** Take a group back that was not sent yet. Returns whether it could be. */
export async function takeBack(id: string): Promise<boolean> {
  let taken = false;
  await alone(async () => {
    const kept = await (await db()).get("outbox", id);
    if (!kept || (kept.state === "sending" && kept.tries > 0)) return;
    // What was tried may have arrived: only the server can undo it.
    if (kept.tries > 0 && kept.state === "waiting") return;
    await dropPhotos(kept?.photos);
    await drop(id);
    taken = true;
  });
  return taken;
}

/** Give a refused group up: the device shows again what the server has. */
export async function giveUp(id: string): Promise<void> {
  await dropPhotos(groups.value.find((each) => each.id === id)?.photos);
  await drop(id);
}

/** Send a refused group again, with other writes; without versions it overwrites. */
export async function again(group: Group, writes: Write[] = group.writes): Promise<void> {
  // First the new one: a device that stops in between has it twice at worst, and shows both.
  await put({ ...group, id: uuid(), writes, state: "waiting", tries: 0, errors: undefined, message: undefined });
  await drop(group.id);
  void flush();
}

/** Return the writes without what the server compares: mine wins. */
export const mine = (writes: Write[]): Write[] => writes.map(({ version: _, ...rest }) => rest);

/** Try again now, whatever was waited for. */
export function nudge(): void {
  backOff = 0;
  void flush();
}

/** Forget in memory what waits; for another person at the device. */
export const forget = (): void => show([]);
