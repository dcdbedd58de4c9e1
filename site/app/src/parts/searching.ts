// The search, which is fetched when there is time: it knows all that may be done with an animal.
import { signal } from "@preact/signals";
import type { ComponentType } from "preact";

export const searching = signal(false);

export const search = signal<ComponentType | undefined>(undefined);

export async function bringSearch(): Promise<void> {
  search.value ??= (await import("./search.tsx")).Search;
}

/** Open the search. */
export function startSearch(): void {
  searching.value = true;
  void bringSearch().catch(() => (searching.value = false));
}
