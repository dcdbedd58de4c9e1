// Keys that work everywhere but in a field.
import { DESTINATIONS } from "./nav.ts";
import { go, href, place } from "./router.ts";
import { startSearch } from "./searching.ts";
import { locked } from "../data/seats.ts";
import { undoLast } from "../data/undo.ts";

export const KEYS: [string, string][] = [
  ["/", "Search: a mouse, a cage, a litter, a screen, or “cull FI_003”"],
  ["n", "New record of this screen"],
  ["u", "Undo the last thing done here"],
  ["?", "These keys"],
  ...DESTINATIONS.filter((each) => each.key).map((each): [string, string] => [`g ${each.key!}`, each.label]),
];

export const GRID_KEYS: [string, string][] = [
  ["↑ ↓ ← →", "Move between cells"],
  ["Enter, Tab", "Down, right"],
  ["F2", "Edit within the cell"],
  ["Esc", "Take back what was typed in the cell"],
  ["Shift ↑ ↓", "Choose several cells"],
  ["Ctrl C, Ctrl V", "Copy and paste, also from and to a spreadsheet"],
  ["Ctrl D", "Fill down"],
  ["Ctrl Z, Ctrl Y", "Undo and redo in the grid"],
  ["+ − ⌫", "Present, absent, not tested (genotyping)"],
];

let went = 0;

addEventListener("keydown", (event) => {
  const at = event.target as HTMLElement;
  if (locked.value || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName) || at.isContentEditable || document.querySelector("dialog[open]")) return;
  if (Date.now() - went < 1500) {
    went = 0;
    const wanted = DESTINATIONS.find((each) => each.key === event.key);
    if (wanted) return go(href(wanted.screen));
  }
  if (event.key === "g") went = Date.now();
  else if (event.key === "/") {
    event.preventDefault();
    startSearch();
  } else if (event.key === "u") undoLast();
  else if (event.key === "?") go(href("keys"));
  else if (event.key === "n") {
    const button = document.querySelector<HTMLElement>("main [data-new]");
    if (button) {
      event.preventDefault();
      button.click();
    } else if (place.value.screen === "today") startSearch();
  }
});
