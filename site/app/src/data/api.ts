// The API under the site's own address: one function for all requests.
import { signal } from "@preact/signals";

export const PATIENCE = 25_000;
/** Milliseconds after which a request counts as lost. */

export const ROOT = new URL("../rest", location.href).pathname;

export interface Answer<T = unknown> {
  status: number;
  body: T;
}

/** Whether the last request reached the server. */
export const online = signal(navigator.onLine);

/** Whether the server wants to know who is there. */
export const stranger = signal(false);

/** Whose device it is, and who acts at it now: several people may share one. */
export const holder = signal("");
export const acting = signal("");

/** Header that says whose session a request means; the device's own person needs none. */
const SEAT = "X-Fornix-Seat";

export const as = (who: string): Record<string, string> => ({ [SEAT]: who === holder.value ? "" : who });

/** A request's refusal, in the server's words. Status 0: it did not get there. */
export class Refused extends Error {
  readonly status: number;
  readonly fields: Record<string, string[]>;

  constructor(status: number, body: unknown) {
    super(wording(status, body));
    this.status = status;
    this.fields = fieldsOf(body);
  }
}

/** Return the messages of an answer by field. */
export function fieldsOf(body: unknown): Record<string, string[]> {
  if (!body || typeof body !== "object" || Array.isArray(body)) return {};
  const found: Record<string, string[]> = {};
  for (const [name, value] of Object.entries(body))
    if (Array.isArray(value) && value.every((each) => typeof each === "string")) found[name] = value;
  return found;
}

/** Return what an answer says, as one sentence. */
export function wording(status: number, body: unknown): string {
  if (status === 0) return "There is no connection.";
  const detail = (body as { detail?: unknown } | null)?.detail;
  if (typeof detail === "string") return detail;
  const told = Object.entries(fieldsOf(body)).map(([name, messages]) =>
    name === "non_field_errors" ? messages.join(" ") : `${name.replaceAll("_", " ")}: ${messages.join(" ")}`,
  );
  if (told.length) return told.join(" ");
  if (status === 401) return "Please sign in again.";
  if (status >= 500) return "The server had a problem. Nothing was lost.";
  return `The server refused this (${status}).`;
}

/** Send a request; a missing network is status 0. Nothing is thrown. */
export async function send<T = unknown>(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer<T>> {
  let answer: Response;
  try {
    answer = await fetch(ROOT + path, {
      method,
      credentials: "same-origin",
      headers: {
        Accept: "application/json",
        "X-Fornix": "1",
        ...as(acting.value),
        ...(body === undefined || body instanceof FormData ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      body: body === undefined || body instanceof FormData ? body : JSON.stringify(body),
      signal: AbortSignal.timeout(PATIENCE),
    });
  } catch {
    online.value = false;
    return { status: 0, body: null as T };
  }
  online.value = true;
  const raw = await answer.text();
  let read: unknown = null;
  try {
    read = raw ? JSON.parse(raw) : null;
  } catch {
    read = { detail: answer.status >= 500 ? undefined : "The answer could not be read." };
  }
  if (answer.status === 401) stranger.value = true;
  return { status: answer.status, body: read as T };
}

/** Return what a GET answers; throws `Refused`. */
export async function get<T = unknown>(path: string, headers: Record<string, string> = {}): Promise<T> {
  const answer = await send<T>("GET", path, undefined, headers);
  if (answer.status < 200 || answer.status > 299) throw new Refused(answer.status, answer.body);
  return answer.body;
}
