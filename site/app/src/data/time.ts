// Days and times are the lab's, wherever the device is.
import { zone } from "./session.ts";

const formats = new Map<string, Intl.DateTimeFormat>();

function format(name: string): Intl.DateTimeFormat {
  let found = formats.get(name);
  if (!found) {
    const options: Intl.DateTimeFormatOptions = {
      timeZone: name,
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      hourCycle: "h23",
    };
    formats.set(name, (found = new Intl.DateTimeFormat("sv-SE", options)));
  }
  return found;
}

const HAS_ZONE = /(Z|[+-]\d\d:?\d\d)$/;

/** Return an instant as the lab's wall clock, `2026-03-01 14:05`; a naive time is that already. */
export function wall(value: unknown): string {
  const said = String(value ?? "");
  if (said.length <= 10 || !HAS_ZONE.test(said)) return said.slice(0, 16).replace("T", " ");
  const at = new Date(said);
  return Number.isNaN(at.getTime()) ? "" : format(zone.value).format(at);
}

export const day = (value: unknown): string => wall(value).slice(0, 10);

/** Today in the lab. */
export const today = (): string => format(zone.value).format(new Date()).slice(0, 10);

export const nowWall = (): string => format(zone.value).format(new Date());

/** Days from one day to another. */
export const daysBetween = (from: string, to: string): number =>
  Math.round((Date.parse(to.slice(0, 10)) - Date.parse(from.slice(0, 10))) / 86_400_000);

export function addDays(from: string, days: number): string {
  return new Date(Date.parse(from.slice(0, 10)) + days * 86_400_000).toISOString().slice(0, 10);
}

/** Return an age in the words of an animal room. */
export function age(birth: unknown, end?: unknown): string {
  if (!birth) return "";
  const days = daysBetween(String(birth), String(end || today()));
  if (days < 0) return "";
  return days < 70 ? `${days} d` : `${Math.floor(days / 7)} w`;
}

const SHORT = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const LONG = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });

/** Return a day as people write it, without the year if it is this one. */
export function said(value: unknown): string {
  const found = day(value);
  if (!found) return "";
  const at = new Date(found + "T00:00:00Z");
  if (Number.isNaN(at.getTime())) return found;
  return (found.slice(0, 4) === today().slice(0, 4) ? SHORT : LONG).format(at);
}

/** Return day and time as people write them. */
export function saidTime(value: unknown): string {
  const found = wall(value);
  if (!found) return "";
  const time = found.slice(11, 16);
  return found.slice(0, 10) === today() ? `today ${time}` : `${said(found)} ${time}`;
}
