// Several people at one device: each with a session of their own, and a PIN that only the device knows.
//
// A PIN keeps a colleague from writing in another's name by mistake. It encrypts nothing: who may
// sign in at the device may read what is kept on it.
import { computed, signal } from "@preact/signals";
import { as, holder, send, stranger, wording } from "./api.ts";
import { meta, setMeta } from "./db.ts";
import { unsent } from "./outbox.ts";
import { act, type Me, me, ownerOf, rank } from "./session.ts";

export interface Seat extends Me {
  salt: string;
  hash: string;
  wrong: number;
}

export const seats = signal<Seat[]>([]);
export const locked = signal(false);

export const PIN = /^\d{4,8}$/;

const ROUNDS = 310_000;
/** Of PBKDF2 with SHA-256: some tenths of a second on a phone. */

const WRONG = 5;
/** Wrong PINs after which the password is asked for. */

const SHARED = 5 * 60_000;
const ALONE = 12 * 3_600_000;
/** Milliseconds without a touch until the device locks: shared by several people, or one's own. */

const LOOK = 5_000;
/** Milliseconds between looks at the clock. */

const patience = computed(() => (seats.value.length > 1 ? SHARED : ALONE));

const hex = (bytes: ArrayBuffer | Uint8Array): string =>
  [...new Uint8Array(bytes)].map((each) => each.toString(16).padStart(2, "0")).join("");

async function hashed(pin: string, salt: string): Promise<string> {
  const encode = (said: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(said);
  const key = await crypto.subtle.importKey("raw", encode(pin), "PBKDF2", false, ["deriveBits"]);
  return hex(await crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt: encode(salt), iterations: ROUNDS }, key, 256));
}

async function keep(next: Seat[]): Promise<void> {
  seats.value = next;
  await setMeta("seats", next);
}

/** Give a person a PIN at this device. */
export async function setPin(who: Me, pin: string): Promise<void> {
  const salt = hex(crypto.getRandomValues(new Uint8Array(16)));
  const seat: Seat = { username: who.username, role: who.role, labs: who.labs, salt, hash: await hashed(pin, salt), wrong: 0 };
  const there = seats.value.some((each) => each.username === who.username);
  await keep(there ? seats.value.map((each) => (each.username === who.username ? seat : each)) : [...seats.value, seat]);
}

/** Return why a person may not share what the device keeps of its owner's; nothing if they may.
 *
 * What is on the device was fetched for its owner: others at it may see as much themselves. */
export function unfit(who: Me): string {
  const owner = ownerOf();
  if (!owner) return "Nobody is signed in here.";
  const strange = owner.labs.filter((each) => !who.labs.includes(each));
  if (strange.length) return `${who.username} is not of ${strange.join(", ")}, whose animals are on this device.`;
  if (rank(who.role) < rank(owner.role)) return `This device is a ${owner.role}'s and shows more than a ${who.role} sees. Sign in first as a ${who.role}, then add the ${owner.role}.`;
  return "";
}

/** Sign a person in again whose session has ended; returns what is wrong, or nothing. */
export async function renew(username: string, password: string): Promise<string> {
  const answer = await send("POST", "/session", { username, password }, as(username));
  if (answer.status < 200 || answer.status > 299) return wording(answer.status, answer.body);
  stranger.value = false;
  return "";
}

/** Add a person, by their password once; returns what is wrong, or nothing. */
export async function join(username: string, password: string, pin: string): Promise<string> {
  const answer = await send<Me>("POST", "/session", { username, password }, as(username));
  if (answer.status < 200 || answer.status > 299)
    return answer.status === 0 ? "There is no connection. Adding a person needs one." : wording(answer.status, answer.body);
  const who: Me = { username: answer.body.username, role: answer.body.role, labs: answer.body.labs };
  const wrong = who.username === holder.value ? "" : who.username === username ? unfit(who) : "Write the user name as it is in the account.";
  if (wrong) {
    await send("DELETE", "/session", undefined, as(username));
    return wrong;
  }
  await setPin(who, pin);
  return "";
}

/** Take a person's PIN and session from the device; returns what is wrong, or nothing. */
export async function leave(username: string): Promise<string> {
  const waits = unsent.value.filter((each) => each.who === username).length;
  if (waits) return `${waits} changes of ${username} are not sent yet.`;
  if (username !== holder.value) await send("DELETE", "/session", undefined, as(username));
  await keep(seats.value.filter((each) => each.username !== username));
  if (username === me.value?.username && username !== holder.value) await lock();
  if (!seats.value.length) await open();
  return "";
}

/** End the sessions of all who share the device. */
export async function leaveAll(): Promise<void> {
  for (const each of seats.value) if (each.username !== holder.value) await send("DELETE", "/session", undefined, as(each.username));
  seats.value = [];
  locked.value = false;
}

export async function lock(): Promise<void> {
  if (!seats.value.length) return;
  locked.value = true;
  await setMeta("locked", true);
}

async function open(who?: Me): Promise<void> {
  const person = who ?? ownerOf();
  if (person) act(person);
  touched = Date.now();
  locked.value = false;
  await setMeta("locked", false);
  await setMeta("seat", person?.username);
}

/** Let a person in by their PIN; returns what is wrong, or nothing. */
export async function enter(username: string, pin: string): Promise<string> {
  const seat = seats.value.find((each) => each.username === username);
  if (!seat) return "Sign in with your password.";
  if (seat.wrong >= WRONG) return "Too many wrong PINs. Sign in with your password.";
  // Counted before it is looked at, so that closing the page forgives nothing.
  const counted = (wrong: number): Promise<void> => keep(seats.value.map((each) => (each.username === username ? { ...each, wrong } : each)));
  await counted(seat.wrong + 1);
  if ((await hashed(pin, seat.salt)) !== seat.hash) return seat.wrong + 1 >= WRONG ? "Too many wrong PINs. Sign in with your password." : "This is not the PIN.";
  await counted(0);
  await open(seat);
  return "";
}

/** Let a person in by their password, who then chooses a PIN anew. */
export async function enterByPassword(username: string, password: string, pin: string): Promise<string> {
  const wrong = await join(username, password, pin);
  if (!wrong) await open(seats.value.find((each) => each.username === username));
  return wrong;
}

let touched = Date.now();

/** Read who shares the device, and lock it if it was left alone for long. */
export async function recallSeats(): Promise<void> {
  seats.value = (await meta<Seat[]>("seats")) ?? [];
  if (!seats.value.length) return;
  const last = await meta<string>("seat");
  const seat = seats.value.find((each) => each.username === last);
  if (seat) act(seat);
  touched = (await meta<number>("touched")) ?? 0;
  locked.value = !!(await meta("locked")) || Date.now() - touched > patience.value;
}

/** Watch for hands; without them the device locks. */
export function watch(): void {
  let told = 0;
  const touch = (): void => {
    touched = Date.now();
    if (seats.value.length && touched - told > LOOK) void setMeta("touched", (told = touched));
  };
  for (const each of ["pointerdown", "keydown"]) addEventListener(each, touch, { capture: true, passive: true });
  const look = (): void => {
    if (seats.value.length && !locked.value && Date.now() - touched > patience.value) void lock();
  };
  setInterval(look, LOOK);
  document.addEventListener("visibilitychange", look);
}
