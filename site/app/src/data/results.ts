// What the results site shows of an animal or a session: its public pages, or those of the lab alone.
import { get, Refused, ROOT } from "./api.ts";

export const SITE = new URL("..", location.href).pathname;

export type Kind = "subjects" | "sessions";

/** As shared/results/addresses.py has it. */
export const safeName = (name: string): string =>
  name.replaceAll(/[^A-Za-z0-9_-]/gu, (each) => `~${each.codePointAt(0)!.toString(16)}`);

export const publicPage = (kind: Kind, key: string): string => `${SITE}${kind}/${safeName(key)}.html`;

/** Where the picture of a page's figures is: the public one, then the one for members. */
export const pictures = (kind: Kind, key: string, lab: string): string[] => {
  const name = `data/${kind}/${safeName(key)}.png`;
  return [SITE + name, `${ROOT}/lab-pages/${encodeURIComponent(lab)}/${name}`];
};

const labPage = (kind: Kind, key: string, lab: string): string =>
  `${SITE}my-lab.html?at=${encodeURIComponent(lab)}/${kind}/${safeName(key)}.html`;

/** Go to the page of figures: the public one, else the one for members. */
export async function openFigures(kind: Kind, key: string, lab: string): Promise<void> {
  const there = await fetch(publicPage(kind, key), { method: "HEAD" }).then((answer) => answer.ok, () => false);
  location.assign(there ? publicPage(kind, key) : labPage(kind, key, lab));
}

/** How far an animal is in training, by the rules of the nightly analysis. */
export interface Judged {
  status: string;
  days_to_trained: number | null;
  sessions_to_trained: number | null;
  first: { status: string; date: string }[];
  next: { status: string; criteria: { name: string; rule: string; pass: boolean }[] } | null;
}

/** Return how far an animal is; undefined where the site has no sessions of it. */
export async function judged(nickname: string, lab: string): Promise<Judged | undefined> {
  const name = `data/subjects/${safeName(nickname)}.json`;
  const open = await fetch(SITE + name).catch(() => undefined);
  if (open?.ok) return (await open.json()) as Judged;
  try {
    return await get<Judged>(`/lab-pages/${encodeURIComponent(lab)}/${name}`);
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return undefined;
    throw error;
  }
}
