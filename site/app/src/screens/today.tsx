// What is to be done today, for the lab or for me.
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { get, Refused } from "../data/api.ts";
import { meta, setMeta } from "../data/db.ts";
import { called, type Row, text } from "../data/model.ts";
import { stuck, unsent } from "../data/outbox.ts";
import {
  belowThreshold, birthsExpected, due, living, name, openRestriction, requestsOpen, restricted, sessionsToday, toCull,
  toGenotype, toReduce, toWean, toWeigh, trainedOn, waterDue, week,
} from "../data/select.ts";
import { lab, me } from "../data/session.ts";
import { row, rows } from "../data/store.ts";
import { daysBetween, said, today, wall } from "../data/time.ts";
import { status } from "../data/water.ts";
import { href } from "../parts/router.ts";
import { Empty } from "../parts/empty.tsx";

const mine = signal(false);

interface Board {
  counts?: Record<string, number>;
}

export const failed = signal(0);

async function countFailed(): Promise<void> {
  failed.value = (await meta<number>("failed")) ?? 0;
  try {
    const board = await get<Board>(`/board?lab=${encodeURIComponent(lab.value)}`);
    failed.value = board.counts?.Errored ?? 0;
    await setMeta("failed", failed.value);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  }
}

interface Tile {
  label: string;
  count: number;
  to: string;
  detail: ComponentChildren;
  tone?: "bad" | "warn";
}

const NAMED = 24;

function names(found: Row[], extra: (mouse: Row) => string = () => "", most = NAMED): ComponentChildren {
  const shown = found.slice(0, most);
  return (
    <>
      {shown.map((each, i) => (
        <span key={name(each)} class="name">
          {called(name(each))}
          {extra(each) && <span class="muted"> {extra(each)}</span>}
          {i < shown.length - 1 ? "," : ""}
        </span>
      )).flatMap((each) => [each, " "])}
      {found.length > most && ` and ${found.length - most} more`}
    </>
  );
}

function byLitter(found: Row[]): ComponentChildren {
  const litters = new Map<string, number>();
  for (const each of found) litters.set(text(each.litter) || text(each.line) || "–", (litters.get(text(each.litter) || text(each.line) || "–") ?? 0) + 1);
  return [...litters].slice(0, 8).map(([litter, n]) => `${litter} (${n})`).join(", ");
}

function tiles(): Tile[] {
  const own = (mouse: Row): boolean => !mine.value || text(mouse.responsible_user) === me.value?.username;
  const of = (each: { value: Row[] }): Row[] => each.value.filter(own);
  const water = of(waterDue);
  const now = today();
  const days = week(now).filter((each) => each <= now);
  const untrained = days.length < 5 ? [] : of(restricted).filter((each) => days.filter((d) => trainedOn(name(each)).has(d)).length < days.length - 2);
  const cleaning = rows("cage").filter((each) => each.lab === lab.value && cleanToday(each, now));
  const old = of(restricted).filter((each) => {
    const since = text(openRestriction(name(each))?.start_time);
    return since && daysBetween(wall(since), now) > 180;
  });
  const needs = stuck.value.length;
  return [
    { label: "Need you", count: needs, to: href("outbox"), tone: "bad", detail: "Changes that the server did not take" },
    { label: "Below threshold", count: of(belowThreshold).length, to: href("weigh") + "?which=low", tone: "bad", detail: names(of(belowThreshold), (m) => `${Math.round(status.value.get(name(m))?.percentage ?? 0)} %`) },
    { label: "To weigh", count: of(toWeigh).length, to: href("weigh") + "?which=weigh", detail: names(of(toWeigh)) },
    { label: "Water due", count: water.length, to: href("weigh") + "?which=water", detail: names(water, (m) => `${(due.value.get(name(m)) ?? 0).toFixed(2)} ml`, 8) },
    { label: "Sessions today", count: sessionsToday.value.length, to: sessionsToday.value.length === 1 ? href("session", text(sessionsToday.value[0]!.id)) : href("sessions"), detail: sessionsToday.value.map((each) => text(each.subject)).join(", ") },
    { label: "Births expected", count: birthsExpected.value.length, to: href("litters"), detail: birthsExpected.value.slice(0, 6).map(({ pair, on }) => `${text(pair.name)} ${said(on)}`).join(", ") },
    { label: "To wean", count: of(toWean).length, to: href("litters") + "?which=wean", detail: byLitter(of(toWean)) },
    { label: "To genotype", count: of(toGenotype).length, to: href("genotyping"), detail: byLitter(of(toGenotype)) },
    { label: "To cull", count: of(toCull).length, to: href("cull"), detail: names(of(toCull)) },
    { label: "To reduce", count: of(toReduce).length, to: href("cull") + "?which=reduce", detail: names(of(toReduce)) },
    { label: "Trained too little this week", count: untrained.length, to: href("training"), detail: names(untrained) },
    { label: "Long restrictions", count: old.length, to: href("mice") + "?view=restricted", detail: names(old) },
    { label: "Requests", count: requestsOpen.value.length, to: href("requests"), detail: requestsOpen.value.slice(0, 6).map((each) => `${text(each.user)}: ${text(each.count)} ${text(each.line)}`).join(", ") },
    { label: "Cages to clean", count: cleaning.length, to: href("cages") + "?which=clean", detail: cleaning.slice(0, NAMED).map((each) => text(each.name)).join(", ") },
    { label: "Failed tasks", count: failed.value, to: href("tasks"), tone: "warn", detail: "Of the lab’s sessions" },
    { label: "Not sent yet", count: unsent.value.length, to: href("outbox"), tone: "warn", detail: unsent.value.slice(0, 4).map((each) => each.what).join(", ") },
  ];
}

const WEEKDAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/** Whether a cage is to be cleaned on a day, and was not yet. */
export function cleanToday(cage: Row, on: string): boolean {
  const days = Array.isArray(cage.cleaning_days) ? cage.cleaning_days.map((each) => String(each).toLowerCase()) : [];
  const name = WEEKDAYS[new Date(on + "T00:00:00Z").getUTCDay()]!;
  return days.some((each) => each && name.startsWith(each.slice(0, 3))) && text(cage.last_cleaned) < on;
}

export function Today() {
  useEffect(() => void countFailed(), [lab.value]);
  const all = tiles();
  const open = all.filter((each) => each.count);
  const done = all.filter((each) => !each.count && !["Need you", "Not sent yet", "Below threshold", "Failed tasks"].includes(each.label));
  const place = row("lab", lab.value);
  return (
    <>
      <header class="page-head">
        <div>
          <h1>Today</h1>
          <p class="muted">{weekday(today())} · {text(place?.institution) || lab.value}</p>
        </div>
        <div class="segments" role="group" aria-label="Whose">
          <button type="button" aria-pressed={!mine.value} onClick={() => (mine.value = false)}>Lab</button>
          <button type="button" aria-pressed={mine.value} onClick={() => (mine.value = true)}>Mine</button>
        </div>
      </header>
      {open.length ? (
        <ul class="tiles">
          {open.map((each) => (
            <li key={each.label}>
              <a class={`tile ${each.tone ?? ""}`} href={each.to}>
                <span class="tile-count">{each.count}</span>
                <span class="tile-text">
                  <strong>{each.label}</strong>
                  <span class="tile-detail">{each.detail}</span>
                </span>
              </a>
            </li>
          ))}
        </ul>
      ) : (
        !living.value.length ? <Empty title="No animals yet"><a href={href("mice")}>Add the first with “New”</a>, or bring those of another database with <code>fornix import</code>.</Empty> : <Empty title="All done">Nothing waits today. <a href={href("weigh")}>Weigh an animal</a>, or look at all <a href={href("mice")}>mice</a>.</Empty>
      )}
      {done.length > 0 && open.length > 0 && <p class="muted small done">Nothing: {done.map((each) => each.label.toLowerCase()).join(", ")}.</p>}
    </>
  );
}

export const weekday = (on: string): string =>
  new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", timeZone: "UTC" }).format(new Date(on + "T00:00:00Z"));
