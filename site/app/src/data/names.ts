// Automatic names, given on the device so that pups have theirs without a network.
import { resources } from "./forms.ts";
import { type Row, text, type Write } from "./model.ts";
import { keyOf, table } from "./store.ts";

export type Named = "subject" | "litter" | "breeding-pair";

/** As shared/science/colony/names.py has them. */
const PATTERNS: Record<Named, [prefix: string, digits: number]> = {
  subject: ["_", 4],
  litter: ["_L_", 3],
  "breeding-pair": ["_BP_", 3],
};

const COUNTERS: Record<Named, string> = {
  subject: "subject_autoname_index",
  litter: "litter_autoname_index",
  "breeding-pair": "breeding_pair_autoname_index",
};

/** Return the next free names of a line; `taken` are given meanwhile but not kept yet. */
export function nextNames(kind: Named, line: Row | undefined, count: number, taken: ReadonlySet<string> = new Set()): string[] {
  const short = text(line?.nickname) || text(line?.name);
  const [prefix, digits] = PATTERNS[kind];
  const found: string[] = [];
  const known = table(kind);
  let number = Number(line?.[COUNTERS[kind]] ?? 0);
  while (found.length < count) {
    const name = `${short}${prefix}${String(++number).padStart(digits, "0")}`;
    if (!known.has(name) && !taken.has(name)) found.push(name);
  }
  return found;
}

/** Return the writes with new names where somebody else took theirs, and what names them with them. */
export function renamed(writes: Write[]): Write[] {
  const found = new Map<string, string>();
  const taken = new Set<string>();
  for (const each of writes) {
    const kind = resources.get(each.resource)?.kind as Named | undefined;
    if (each.op !== "create" || !kind || !(kind in PATTERNS)) continue;
    const old = keyOf(each);
    const line = table("line").get(text(each.body?.line));
    const [name] = nextNames(kind, line, 1, taken);
    if (!line || !name) continue;
    taken.add(name);
    found.set(`${kind} ${old}`, name);
  }
  const swap = (kind: string, value: unknown): unknown => found.get(`${kind} ${text(value)}`) ?? value;
  return writes.map((each) => {
    const made = resources.get(each.resource);
    const body: Row = { ...each.body };
    for (const field of made?.fields ?? []) {
      const kind = field.name === made?.key ? made.kind : field.to;
      if (kind && field.name in body) body[field.name] = Array.isArray(body[field.name]) ? (body[field.name] as unknown[]).map((one) => swap(kind, one)) : swap(kind, body[field.name]);
    }
    return { ...each, body };
  });
}
