// Questions to the replica, each asked in one place.
import { computed } from "@preact/signals";
import { called, list, num, type Row, text } from "./model.ts";
import { lab } from "./session.ts";
import { rows, table } from "./store.ts";
import { addDays, day, daysBetween, today, wall } from "./time.ts";
import { givenToday, status } from "./water.ts";

export const name = (mouse: Row): string => text(mouse.nickname);

/** Return how several animals are called in a sentence. */
export const names = (mice: Row[]): string => (mice.length > 3 ? `${mice.length} mice` : mice.map((each) => called(name(each))).join(", "));

/** Whether an animal lives today. */
export const lives = (mouse: Row): boolean => !mouse.death_date || text(mouse.death_date) > today();

/** Animals of the lab. */
export const mice = computed(() => rows("subject").filter((each) => !lab.value || each.lab === lab.value));

export const living = computed(() => mice.value.filter(lives));

/** Records of a kind by the animal they are about, in the order of a time field. */
function bySubject(kind: string, time: string) {
  return computed(() => {
    const found = new Map<string, Row[]>();
    for (const each of rows(kind)) {
      const key = text(each.subject);
      const one = found.get(key);
      if (one) one.push(each);
      else found.set(key, [each]);
    }
    for (const each of found.values())
      each.sort((a, b) => (wall(a[time]) < wall(b[time]) ? -1 : 1));
    return found;
  });
}

export const weighings = bySubject("weighing", "date_time");
export const waterings = bySubject("watering", "date_time");
export const restrictions = bySubject("water-restriction", "start_time");
export const surgeries = bySubject("surgery", "start_time");
export const sessions = bySubject("session", "start_time");
export const tests = bySubject("genotype-test", "date");
export const stays = bySubject("stay", "start");
export const culls = bySubject("cull", "date");

export const of = (each: { value: Map<string, Row[]> }, nickname: string): Row[] => each.value.get(nickname) ?? [];

export const openRestriction = (nickname: string): Row | undefined =>
  of(restrictions, nickname).find((each) => !each.end_time);

/** Living animals under water restriction, by name. */
export const restricted = computed(() =>
  living.value.filter((each) => openRestriction(name(each))).sort((a, b) => name(a).localeCompare(name(b))),
);

export const lastWeight = (nickname: string): Row | undefined => of(weighings, nickname).at(-1);

export const weighedToday = (nickname: string): boolean => day(lastWeight(nickname)?.date_time) === today();

export const toWeigh = computed(() => restricted.value.filter((each) => !weighedToday(name(each))));

/** Millilitres still due today: as the server said, less what this device gave since. */
export const due = computed(() => {
  const given = givenToday();
  const found = new Map<string, number>();
  for (const mouse of restricted.value) {
    const known = status.value.get(name(mouse));
    if (!known) continue;
    const later = Math.max(0, (given.get(name(mouse)) ?? 0) - known.given);
    found.set(name(mouse), Math.max(0, Math.round(100 * (known.remaining - later)) / 100));
  }
  return found;
});

export const waterDue = computed(() => restricted.value.filter((each) => (due.value.get(name(each)) ?? 0) > 0));

export const belowThreshold = computed(() =>
  restricted.value.filter((each) => {
    const known = status.value.get(name(each));
    return known && known.percentage > 0 && known.min_percentage > 0 && known.percentage < known.min_percentage;
  }),
);

export const openStay = (nickname: string): Row | undefined => of(stays, nickname).filter((each) => !each.end).at(-1);

/** The cage an animal is in: its open stay's, else what its text says. */
export const cageOf = (mouse: Row): string => {
  const stay = openStay(name(mouse));
  return stay ? cageName(stay.cage) : text(mouse.cage);
};

/** What people call a cage. */
export const cageName = (id: unknown): string => text(table("cage").get(text(id))?.name ?? id);

/** Animals by cage. */
export const cageMates = computed(() => {
  const found = new Map<string, Row[]>();
  for (const mouse of living.value) {
    const cage = cageOf(mouse);
    if (cage) found.set(cage, [...(found.get(cage) ?? []), mouse]);
  }
  return found;
});

/** Pups of a litter. */
export const pups = computed(() => {
  const found = new Map<string, Row[]>();
  for (const mouse of mice.value) {
    const litter = text(mouse.litter);
    if (litter) found.set(litter, [...(found.get(litter) ?? []), mouse]);
  }
  return found;
});

export const lineOf = (mouse: Row | undefined): Row | undefined => {
  const named = text(mouse?.line);
  return table("line").get(named) ?? rows("line").find((each) => text(each.nickname) === named);
};

const age = (mouse: Row, field: string, otherwise: number): number =>
  num(lineOf(mouse)?.[field]) ?? num(table("lab").get(lab.value)?.[field]) ?? otherwise;

export const WEAN_DAYS = 21;
/** Age at weaning where neither line nor lab has one. */

export const toWean = computed(() =>
  living.value.filter(
    (each) =>
      each.litter && !each.wean_date && each.birth_date &&
      daysBetween(text(each.birth_date), today()) >= age(each, "wean_age_days", WEAN_DAYS),
  ),
);

export const toGenotype = computed(() => living.value.filter((each) => each.to_be_genotyped));
export const toCull = computed(() => living.value.filter((each) => each.to_be_culled));
export const toReduce = computed(() => mice.value.filter((each) => !lives(each) && each.death_date && !each.reduced_date));

/** Zygosities of an animal by allele, in the words of the API. */
export function genotype(mouse: Row): { allele: string; zygosity: string; by: string; rule: string }[] {
  const known = mouse.zygosities ?? mouse.genotype;
  if (!Array.isArray(known)) return [];
  return known
    .filter((each): each is Row => !!each && typeof each === "object")
    .map((each) => ({
      allele: text(each.allele),
      zygosity: sign(each.zygosity),
      by: text(each.by),
      rule: text(each.rule),
    }));
}

const SIGNS: Record<string, string> = {
  "0": "−/−", "1": "+/−", "2": "+/+", "3": "+",
  Absent: "−/−", Heterozygous: "+/−", Homozygous: "+/+", Present: "+",
  absent: "−/−", heterozygous: "+/−", homozygous: "+/+", present: "+",
};

export const sign = (zygosity: unknown): string => SIGNS[text(zygosity)] ?? text(zygosity);

export const genotypeText = (mouse: Row): string =>
  genotype(mouse).map((each) => `${each.allele} ${each.zygosity}`).join(", ");

/** Whether all that is known of an animal's alleles is that they are absent. */
export const negative = (mouse: Row): boolean => {
  const known = genotype(mouse);
  return known.length > 0 && known.every((each) => each.zygosity === "−/−");
};

export const openPairs = computed(() => rows("breeding-pair").filter((each) => !each.end_date));

export const parents = (pair: Row): string[] => [pair.father, pair.mother1, pair.mother2].map(text).filter(Boolean);

export const littersOf = (pair: string): Row[] =>
  rows("litter")
    .filter((each) => text(each.breeding_pair) === pair)
    .sort((a, b) => text(a.birth_date).localeCompare(text(b.birth_date)));

export const GESTATION = 20;
export const INTERVAL = 28;
/** Days from mating to birth, and from one litter to the next where a pair has had only one. */

/** The day a pair's next litter is expected. */
export function nextBirth(pair: Row): string {
  const litters = littersOf(text(pair.name)).map((each) => text(each.birth_date)).filter(Boolean);
  const last = litters.at(-1);
  const events = Array.isArray(pair.events) ? (pair.events as Row[]) : [];
  const plug = events.filter((each) => each.event === "plug").map((each) => text(each.date)).sort().at(-1);
  if (plug && (!last || plug > last)) return addDays(plug, GESTATION);
  if (last && litters.length > 1)
    return addDays(last, Math.round(daysBetween(litters[0]!, last) / (litters.length - 1)));
  if (last) return addDays(last, INTERVAL);
  return pair.start_date ? addDays(text(pair.start_date), GESTATION + 2) : "";
}

export const EXPECTED_WITHIN = 3;
/** Days ahead for which births are announced. */

export const birthsExpected = computed(() =>
  openPairs.value
    .map((pair) => ({ pair, on: nextBirth(pair) }))
    .filter((each) => each.on && daysBetween(today(), each.on) <= EXPECTED_WITHIN && daysBetween(each.on, today()) < 30)
    .sort((a, b) => a.on.localeCompare(b.on)),
);

export const sessionsToday = computed(() =>
  rows("session").filter((each) => (!lab.value || each.lab === lab.value) && day(each.start_time) === today()),
);

/** Days of a week from its Monday. */
export function week(of: string, shift = 0): string[] {
  const at = new Date(of + "T00:00:00Z");
  const monday = addDays(of, -((at.getUTCDay() + 6) % 7) + 7 * shift);
  return Array.from({ length: 7 }, (_, i) => addDays(monday, i));
}

/** The weeks that a month has days in, so many months on; days of other months are empty. */
export function month(of: string, shift = 0): string[][] {
  const first = new Date(of.slice(0, 7) + "-01T00:00:00Z");
  first.setUTCMonth(first.getUTCMonth() + shift);
  const from = first.toISOString().slice(0, 10);
  const weeks: string[][] = [];
  for (let days = week(from); days.some((on) => on.slice(0, 7) === from.slice(0, 7)); days = week(days[0]!, 1))
    weeks.push(days.map((on) => (on.slice(0, 7) === from.slice(0, 7) ? on : "")));
  return weeks;
}

/** Days on which an animal was trained. */
export const trainedOn = (nickname: string): Set<string> =>
  new Set(of(sessions, nickname).map((each) => day(each.start_time)));

export const requestsOpen = computed(() =>
  rows("subject-request").filter((each) => !["closed", "Closed"].includes(text(each.status))),
);

export const users = computed(() =>
  rows("user").filter((each) => list(each.lab).includes(lab.value) && each.is_active !== false && !["rig", "worker"].includes(text(each.role))),
);

/** Everything of one animal, newest first. */
export interface Entry {
  at: string;
  kind: string;
  what: string;
  detail: string;
  key: string;
  path: string;
  /** The note, for its pictures. */
  note?: Row;
}

export function history(nickname: string): Entry[] {
  const mouse = table("subject").get(nickname);
  const found: Entry[] = [];
  const add = (path: string, kind: string, at: unknown, what: string, detail = "", key = "", note?: Row): void => {
    if (at) found.push({ at: text(at), kind, what, detail, key, path, ...(note ? { note } : {}) });
  };
  for (const each of of(weighings, nickname)) add("weighings", "weight", each.date_time, `${text(each.weight)} g`, text(each.user), text(each.id));
  for (const each of of(waterings, nickname))
    add("water-administrations", "water", each.date_time, each.adlib ? "Water ad libitum" : `${text(each.water_administered)} ml`, [text(each.water_type), text(each.user)].filter(Boolean).join(" · "), text(each.id));
  for (const each of of(restrictions, nickname)) {
    add("water-restriction", "restriction", each.start_time, "Water restriction started", `reference ${text(each.reference_weight)} g`, text(each.id));
    add("water-restriction", "restriction", each.end_time, "Water restriction ended", "", text(each.id));
  }
  for (const each of of(surgeries, nickname))
    add("surgeries", "surgery", each.start_time, list(each.procedures).join(", ") || "Surgery", text(each.narrative), text(each.id));
  for (const each of of(sessions, nickname))
    add("sessions", "session", each.start_time, text(each.task_protocol) || "Session", [each.n_trials ? `${text(each.n_trials)} trials` : "", list(each.users).join(", ")].filter(Boolean).join(" · "), text(each.id));
  for (const each of of(tests, nickname))
    add("genotype-tests", "genotype", each.date, `${text(each.sequence)}: ${text(each.test_result)}`, text(each.user), text(each.id));
  for (const each of of(stays, nickname)) add("stays", "move", each.start, `Moved to ${cageName(each.cage)}`, "", text(each.id));
  for (const each of of(culls, nickname))
    add("culls", "cull", each.date, "Culled", [text(each.cull_method), text(each.cull_reason), text(each.description)].filter(Boolean).join(" · "), text(each.id));
  const ids = new Set([text(mouse?.id), nickname]);
  for (const each of rows("note")) if (ids.has(text(each.object_id)) || (each.about === nickname)) add("notes", "note", each.date_time, text(each.text) || "Picture", text(each.user), text(each.id), each);
  if (mouse) {
    add("subjects", "born", mouse.birth_date, "Born", text(mouse.litter));
    add("subjects", "weaned", mouse.wean_date, "Weaned");
  }
  return found.sort((a, b) => wall(b.at).localeCompare(wall(a.at)));
}
