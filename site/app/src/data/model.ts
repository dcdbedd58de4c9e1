// What the app holds: rows of the replica, groups of the outbox.

/** A record as the API shows it; its fields are those of `forms.json`. */
export type Row = Record<string, unknown>;

/** Marks a row that the account may not change, as its own route would say. */
export const CLOSED = "_closed";

/** A row of the change feed; without `row` the record is gone. */
export interface Change {
  kind: string;
  key: string;
  version: number;
  row: Row | null;
}

export interface Stored {
  version: number;
  row: Row;
}

export type Op = "create" | "update" | "delete";

/** One write of a group, in the words of `POST /batch`. */
export interface Write {
  op: Op;
  resource: string;
  key?: string;
  version?: number;
  body?: Row;
}

/** A request of its own, where one transaction of the server is more than a list of writes. */
export interface Call {
  method: string;
  path: string;
  body: Row;
}

export type State = "waiting" | "sending" | "done" | "refused" | "conflict";

/** What a person did in one go: sent in one request, undone in one. */
export interface Group {
  id: string;
  at: string;
  who: string;
  what: string;
  writes: Write[];
  /** Sent instead of a batch; `writes` are then what the device shows until it is answered. */
  call?: Call;
  /** Effects of the server that the device shows before it is told. */
  shows?: Write[];
  /** Pictures on the device that the writes name; their bytes go first. */
  photos?: string[];
  state: State;
  tries: number;
  /** Messages of the server by write, then by field. */
  errors?: Record<string, string[]>[];
  message?: string;
}

export const uuid = (): string => crypto.randomUUID();

export const text = (value: unknown): string =>
  value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);

/** Return what an animal is called by its key: what follows tells it from a namesake of another lab. */
export const called = (key: unknown): string => text(key).split("~")[0]!;

export const list = (value: unknown): string[] => (Array.isArray(value) ? value.map(text) : []);

export const num = (value: unknown): number | null => {
  if (value === null || value === undefined || value === "") return null;
  const found = Number(value);
  return Number.isFinite(found) ? found : null;
};
