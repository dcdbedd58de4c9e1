// Who is at the device.
import { computed, signal } from "@preact/signals";
import { get, Refused, send, stranger, wording } from "./api.ts";
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

/** Whether the person's role is at least this. */
export const atLeast = (role: string | undefined): boolean =>
  role !== undefined && (RANK[me.value?.role ?? ""] ?? 0) >= (RANK[role] ?? 9);

export const isStockManager = computed(
  () => !!row("user", me.value?.username)?.is_stock_manager || atLeast("manager"),
);

/** Read from the device who was here last. */
export async function recall(): Promise<void> {
  const known = await meta<Me>("me");
  if (known) become(known);
}

function become(who: Me): void {
  me.value = who;
  if (!who.labs.includes(lab.value)) lab.value = who.labs[0] ?? lab.value;
}

let asked = 0;

/** Ask the server who is here, at most once in ten minutes. */
export async function refreshMe(): Promise<void> {
  if (Date.now() - asked < 600_000) return;
  try {
    const found = await get<Me>("/me");
    asked = Date.now();
    become(found);
    await setMeta("me", found);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  }
}

/** Sign in; returns what is wrong, or nothing. */
export async function signIn(username: string, password: string): Promise<string> {
  const answer = await send("POST", "/session", { username, password });
  if (answer.status < 200 || answer.status > 299)
    return answer.status === 0 ? "There is no connection. Signing in needs one." : wording(answer.status, answer.body);
  stranger.value = false;
  const before = await meta<Me>("me");
  const found = await get<Me>("/me");
  if (before && before.username !== found.username) await forgetAll();
  admit();
  asked = Date.now();
  become(found);
  await setMeta("me", found);
  return "";
}

async function forgetAll(): Promise<void> {
  await wipe();
  forget();
}

/** Sign out: the device forgets everything. */
export async function signOut(): Promise<void> {
  await send("DELETE", "/session");
  await forgetAll();
  me.value = undefined;
  stranger.value = false;
  asked = 0;
}
