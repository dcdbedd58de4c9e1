// Water of the lab's restricted animals, as the server works it out, with what this device adds.
import { computed, signal } from "@preact/signals";
import { as, get, holder, Refused } from "./api.ts";
import { meta, setMeta } from "./db.ts";
import { called, num, type Row, text } from "./model.ts";
import { lab } from "./session.ts";
import { rows, revision } from "./store.ts";
import { day, today } from "./time.ts";

/** One restricted animal of `GET /water-status`. */
export interface Status {
  subject: string;
  implant_weight: number;
  weight: number;
  percentage: number;
  expected_weight: number;
  min_weight: number;
  min_percentage: number;
  given: number;
  remaining: number;
  /** Millilitres due per gram from the threshold on, and below it; the threshold in grams. */
  low: number;
  high: number;
  threshold: number;
}

const told = signal<Row[]>([]);

/** Restricted animals of the lab by their keys; the server says nicknames, which the lab has once. */
export const status = computed((): ReadonlyMap<string, Status> => {
  const mine = rows("subject").filter((each) => each.lab === lab.value).map((each) => text(each.nickname));
  const keys = new Map(mine.map((key) => [called(key), key]));
  return new Map(told.value.map((row) => [keys.get(text(row.nickname)) ?? text(row.nickname), read(row)]));
});

let asked = "";

function read(row: Row): Status {
  const one = (name: string): number => num(row[name]) ?? 0;
  const factors = (row.water_factors ?? {}) as Row;
  return {
    subject: text(row.nickname),
    implant_weight: one("implant_weight"),
    weight: one("weight"),
    percentage: one("percentage_weight"),
    expected_weight: one("expected_weight"),
    min_weight: one("min_weight"),
    min_percentage: one("min_percentage"),
    given: one("given_water"),
    remaining: one("remaining_water"),
    low: num(factors.low) ?? 0,
    high: num(factors.high) ?? 0,
    threshold: num(factors.threshold) ?? 0,
  };
}

/** Ask for today's water of the lab, when weights or waters have changed since. */
export async function refreshWater(): Promise<void> {
  if (!lab.value) return;
  const now = `${lab.value} ${today()} ${revision("weighing", "watering", "water-restriction", "surgery")}`;
  if (now === asked) return;
  try {
    const { results } = await get<{ results: Row[] }>(`/water-status?lab=${encodeURIComponent(lab.value)}`, as(holder.value));
    asked = now;
    fill(results);
    await setMeta("water", results);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  }
}

export function fill(found: Row[]): void {
  told.value = found;
}

export async function recallWater(): Promise<void> {
  fill((await meta<Row[]>("water")) ?? []);
}

/** Return millilitres given today that the device knows of. */
export function givenToday(): Map<string, number> {
  const found = new Map<string, number>();
  const now = today();
  for (const each of rows("watering"))
    if (day(each.date_time) === now) {
      const name = text(each.subject);
      found.set(name, (found.get(name) ?? 0) + (num(each.water_administered) ?? 0));
    }
  return found;
}

/** What a weight means for an animal: percent of the expected weight, water of the day, status. */
export interface Preview {
  percentage: number | null;
  need: number;
  level: "" | "ok" | "near" | "low";
}

/** Work out what a weight means, by the factors that the server gave. */
export function preview(known: Status | undefined, weight: number | null): Preview {
  if (!known || weight === null) return { percentage: null, need: 0, level: "" };
  const net = weight - known.implant_weight;
  const expected = known.expected_weight - known.implant_weight;
  const percentage = expected > 0 ? (100 * net) / expected : null;
  const factor = weight < known.threshold ? known.high : known.low;
  const min = known.min_percentage;
  const level = percentage === null || !min ? "" : percentage < min ? "low" : percentage < min + 2 ? "near" : "ok";
  return { percentage, need: Math.max(0, factor * net), level };
}
