// Breeding plans on the device, as shared/science/colony/plan.py works them out.
import { list, num, type Row, text } from "./model.ts";
import { lives, name } from "./select.ts";
import { row, rows } from "./store.ts";
import { daysBetween, today } from "./time.ts";

export const GESTATION_WEEKS = 3;
export const INTERVAL_WEEKS = 4;
export const LITTER_SIZE = 6;

export interface Ranked {
  mother: string;
  father: string;
  fraction: number;
  inbreeding: number;
  weeksOld: number;
  litters: number;
  weeks: number;
}

/** Chance that a parent passes an allele on; null where that is not known. */
function passing(zygosity: number): number | null {
  return zygosity === 0 ? 0 : zygosity === 1 ? 0.5 : zygosity === 2 ? 1 : null;
}

/** Chances of none, one and two copies among the pups of two parents; for X-linked their mean over sexes. */
export function offspring(mother: number, father: number, xLinked = false): [number, number, number] | null {
  const p = passing(mother);
  if (xLinked) {
    // A male has one X: he passes what he has to all daughters, and nothing to sons.
    const q = father === 0 ? 0 : 1;
    if (p === null) return null;
    const daughters: [number, number, number] = [(1 - p) * (1 - q), p * (1 - q) + q * (1 - p), p * q];
    return [(daughters[0] + 1 - p) / 2, (daughters[1] + p) / 2, daughters[2] / 2];
  }
  const q = passing(father);
  if (p === null || q === null) return null;
  return [(1 - p) * (1 - q), p * (1 - q) + q * (1 - p), p * q];
}

const zygosityOf = (mouse: Row, allele: string): number | null => {
  const known = Array.isArray(mouse.zygosities) ? (mouse.zygosities as Row[]) : [];
  return num(known.find((each) => each.allele === allele)?.zygosity);
};

/** Share of a pair's pups of a genotype: alleles are inherited independently; 3 is one copy or two. */
export function share(mother: Row, father: Row, wanted: Record<string, number>): number | null {
  let total = 1;
  for (const [allele, zygosity] of Object.entries(wanted)) {
    const [hers, his] = [zygosityOf(mother, allele), zygosityOf(father, allele)];
    if (hers === null || his === null) return null;
    const chances = offspring(hers, his, !!row("allele", allele)?.x_linked);
    if (!chances) return null;
    total *= zygosity === 3 ? chances[1] + chances[2] : chances[zygosity]!;
  }
  return total;
}

/** Parents of an animal by its litter's pair; none where there is a second mother or no pair. */
function parentsOf(nickname: string): [string, string] | null {
  const pair = row("breeding-pair", row("litter", row("subject", nickname)?.litter)?.breeding_pair);
  return pair?.father && pair.mother1 && !pair.mother2 ? [text(pair.mother1), text(pair.father)] : null;
}

/** Coefficient of kinship of two animals, which is the inbreeding of their pups. */
export function kinship(a: string, b: string, deep = 8): number {
  if (deep === 0) return 0;
  if (a === b) {
    const own = parentsOf(a);
    return own ? (1 + kinship(own[0], own[1], deep - 1)) / 2 : 0.5;
  }
  const [older, younger] = text(row("subject", a)?.birth_date) <= text(row("subject", b)?.birth_date) ? [a, b] : [b, a];
  const parents = parentsOf(younger);
  return parents ? (kinship(older, parents[0], deep - 1) + kinship(older, parents[1], deep - 1)) / 2 : 0;
}

/** Rank the pairs of a line for a number of pups of a genotype: most pups first, then less related, younger. */
export function ranked(line: string, wanted: Record<string, number>, count: number, most = 20): Ranked[] {
  const animals = rows("subject").filter((each) => lives(each) && each.line === line && !each.to_be_culled);
  const old = (each: Row): number => (each.birth_date ? daysBetween(text(each.birth_date), today()) / 7 : 99);
  const grown = animals.filter((each) => old(each) >= 6 && old(each) < 45);
  const paired = new Set(rows("breeding-pair").filter((each) => !each.end_date).flatMap((each) => [each.father, each.mother1, each.mother2].map(text)));
  const free = grown.filter((each) => !paired.has(name(each))).sort((a, b) => old(a) - old(b));
  const found: Ranked[] = [];
  // Animals of one genotype rank alike but for their age and kin: the youngest of each are enough.
  const some = (sex: string): Row[] => {
    const seen = new Map<string, number>();
    return free.filter((each) => {
      if (each.sex !== sex) return false;
      const key = list(Object.keys(wanted)).map((allele) => zygosityOf(each, allele)).join();
      seen.set(key, (seen.get(key) ?? 0) + 1);
      return seen.get(key)! <= most;
    });
  };
  for (const mother of some("F"))
    for (const father of some("M")) {
      const fraction = share(mother, father, wanted);
      if (!fraction) continue;
      const litters = Math.ceil(count / (fraction * LITTER_SIZE) - 1e-9);
      found.push({ mother: name(mother), father: name(father), fraction, inbreeding: 0, weeksOld: old(mother) + old(father), litters, weeks: GESTATION_WEEKS + (litters - 1) * INTERVAL_WEEKS });
    }
  found.sort((a, b) => b.fraction - a.fraction || a.weeksOld - b.weeksOld);
  const first = found.slice(0, 10 * most).map((each) => ({ ...each, inbreeding: kinship(each.mother, each.father) }));
  first.sort((a, b) => b.fraction - a.fraction || a.inbreeding - b.inbreeding || a.weeksOld - b.weeksOld);
  return first.slice(0, most);
}
