// Animals that go from cage to cage: what is written, and what is shown until the server has.
import { num, type Row, text, uuid, type Write } from "./model.ts";
import { cageMates, name, openPairs, openStay, parents } from "./select.ts";
import { lab } from "./session.ts";
import { rows } from "./store.ts";
import { create, update } from "./undo.ts";

/** Return a cage of the lab by its id or its name. */
const cageCalled = (cage: string): Row | undefined =>
  rows("cage").find((each) => text(each.id) === cage || (each.lab === lab.value && text(each.name) === cage));

const grown = (mouse: Row): boolean => !!mouse.wean_date || !mouse.litter;

/** Whether grown animals of both sexes are together that are not one breeding pair. */
export function mixed(mice: Row[]): boolean {
  const adults = mice.filter(grown);
  const sexes = new Set(adults.map((each) => text(each.sex)));
  if (!sexes.has("M") || !sexes.has("F")) return false;
  return !openPairs.value.some((pair) => adults.every((each) => parents(pair).includes(name(each))));
}

/** Return what is seldom meant of a move, as functions/api/resources/cages.py asks about it. */
export function seldomMeant(mice: Row[], cage: string): string[] {
  const known = cageCalled(cage);
  const there = known ? (cageMates.value.get(text(known.name)) ?? []) : [];
  const after = [...there.filter((each) => !mice.some((one) => name(one) === name(each))), ...mice];
  const called = known ? text(known.name) : cage;
  const capacity = num(known?.capacity);
  return [
    ...(capacity && after.length > capacity ? [`${called} is for ${capacity}; it would hold ${after.length}.`] : []),
    ...(mixed(after) ? [`Males and females would be together in ${called}, and are no pair.`] : []),
  ];
}

/** Writes that put animals into a cage by its name, which is made if it is new. */
export function moveWrites(mice: Row[], cage: string, start = new Date().toISOString(), meant = false): Write[] {
  const known = cageCalled(cage);
  const id = known ? text(known.id) : uuid();
  const made: Write[] = known ? [] : [{ op: "create", resource: "cages", body: { id, name: cage, lab: lab.value } }];
  return [...made, ...mice.map((mouse) => create("stays", { subject: name(mouse), cage: id, start, ...(meant ? { confirmed: true } : {}) }))];
}

/** What the device shows of a move until the server has closed the former stays. */
export const leaving = (mice: Row[], end = new Date().toISOString()): Write[] =>
  mice.flatMap((mouse) => {
    const open = openStay(name(mouse));
    return open ? [update("stays", text(open.id), { end })] : [];
  });
