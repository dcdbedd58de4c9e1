// Addresses are hashes: `#/mouse/FI_001?tab=water`. The server serves one page.
import { signal } from "@preact/signals";

export interface Place {
  screen: string;
  parts: string[];
  query: URLSearchParams;
}

function read(): Place {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").map(decodeURIComponent).filter(Boolean);
  return { screen: parts[0] ?? "today", parts: parts.slice(1), query: new URLSearchParams(query) };
}

export const place = signal<Place>(read());

addEventListener("hashchange", () => {
  place.value = read();
  scrollTo(0, 0);
});

export function href(...parts: string[]): string {
  return "#/" + parts.map(encodeURIComponent).join("/");
}

export function go(address: string): void {
  location.hash = address.replace(/^#/, "");
}
