// Who is at the device: the person whose it is, or another one of those who share it.
import { computed, signal } from "@preact/signals";
import { acting, as, get, holder, Refused, send, stranger, wording } from "./api.ts";
import { admit, meta, setMeta, wipe } from "./db.ts";
import { forget } from "./outbox.ts";
import { row } from "./store.ts";

export interface Me {
  username: string;
  role: string;
  labs: string[];
}

export const me = signal<Me | undefined>(undefined);

/** The lab that is looked at. */
export const lab = signal("");

export const zone = computed(() => String(row("lab", lab.value)?.timezone ?? "UTC"));

const RANK: Record<string, number> = { anonymous: 0, member: 1, manager: 2, administrator: 3 };

export const rank = (role: string): number => RANK[role] ?? 0;

/** Whether the person's role is at least this. */
export const atLeast = (role: string | undefined): boolean =>
  role !== undefined && rank(me.value?.role ?? "") >= (RANK[role] ?? 9);

export const isStockManager = computed(
  () => !!row("user", me.value?.username)?.is_stock_manager || atLeast("manager"),
);

/** The person whose session fetches what the device keeps. */
let owner: Me | undefined;

export const ownerOf = (): Me | undefined => owner;

/** Read from the device whose it is. */
export async function recall(): Promise<void> {
  const known = await meta<Me>("me");
  if (known) own(known);
}

function own(who: Me): void {
  owner = who;
  holder.value = who.username;
  if (!me.value || me.value.username === who.username) act(who);
}

/** Let a person act from now on. */
export function act(who: Me): void {
  me.value = who;
  acting.value = who.username;
  if (!who.labs.includes(lab.value)) lab.value = who.labs[0] ?? lab.value;
}

let asked = 0;

/** Ask the server who is here, at most once in ten minutes. */
export async function refreshMe(): Promise<void> {
  if (!owner || Date.now() - asked < 600_000) return;
  try {
    const found = await get<Me>("/me", as(owner.username));
    asked = Date.now();
    own(found);
    await setMeta("me", found);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  }
}

/** What somebody signs in with: name and password, or what a provider gave. */
export type Credentials = { username: string; password: string } | { code: string; code_verifier: string; nonce: string };

/** Sign in as the person whose device it is; returns what is wrong, or nothing. */
export async function signIn(credentials: Credentials): Promise<string> {
  const answer = await send<Me>("POST", "/session", credentials, as(holder.value));
  if (answer.status < 200 || answer.status > 299)
    return answer.status === 0 ? "There is no connection. Signing in needs one." : wording(answer.status, answer.body);
  stranger.value = false;
  const found = await get<Me>("/me", as(holder.value));
  if (owner && owner.username !== found.username) await forgetAll();
  admit();
  asked = Date.now();
  me.value = undefined;
  own(found);
  await setMeta("me", found);
  return "";
}

async function forgetAll(): Promise<void> {
  await wipe();
  forget();
}

/** Sign out: the device forgets everything, and everybody. */
export async function signOut(): Promise<void> {
  await send("DELETE", "/session", undefined, as(holder.value));
  await forgetAll();
  me.value = undefined;
  owner = undefined;
  holder.value = acting.value = "";
  stranger.value = false;
  asked = 0;
}
