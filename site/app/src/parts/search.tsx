// One box for everything: animals, cages, litters, lines, screens, and what may be done with them.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { text } from "../data/model.ts";
import { cageOf, lives, mice } from "../data/select.ts";
import { rows } from "../data/store.ts";
import { ACTIONS, may, runAction } from "../screens/actions.tsx";
import { DESTINATIONS } from "./nav.ts";
import { go, href } from "./router.ts";
import { searching } from "./searching.ts";

interface Found {
  label: string;
  hint: string;
  run: () => void;
}

const SHOWN = 14;

/** Places within screens that people ask for by name. */
const PLACES: [label: string, hint: string, address: string][] = [
  ["Plan a cross", "Pairs ranked for a wanted genotype", href("breeding") + "?plan"],
  ["Annual return", "Report of the year", href("reports") + "?which=year"],
  ["New surgery", "With the lab’s template", href("surgery") + "?new"],
  ["New line", "With alleles and rules", href("new-line")],
  ["Cull negatives", "Animals whose alleles are all absent", href("cull") + "?which=negative"],
  ["Not sent yet", "What waits on this device", href("outbox")],
  ["Keys", "What the keyboard does", href("keys")],
];

function find(typed: string): Found[] {
  const said = typed.trim().toLowerCase();
  const found: Found[] = [];
  const push = (label: string, hint: string, run: () => void): void => void (found.length < SHOWN && found.push({ label, hint, run }));
  if (!said) {
    for (const each of DESTINATIONS) push(each.label, each.about, () => go(href(each.screen)));
    return found;
  }
  // "cull FI_003": a verb, then an animal.
  const [verb = "", ...rest] = said.split(/\s+/);
  const wanted = rest.join(" ");
  for (const action of ACTIONS) {
    if (!action.words.some((each) => each.startsWith(verb) && verb.length > 1)) continue;
    for (const mouse of mice.value) {
      const name = text(mouse.nickname);
      if (wanted && !name.toLowerCase().includes(wanted)) continue;
      if (!wanted && found.length > 3) break;
      if (!may(action, mouse)) continue;
      push(`${action.label}: ${name}`, hintOf(name), () => runAction(action, [mouse]));
      if (found.length >= 6) break;
    }
  }
  const names = mice.value.filter((each) => text(each.nickname).toLowerCase().includes(said) || text(each.ear_mark).toLowerCase() === said);
  names.sort((a, b) => Number(lives(b)) - Number(lives(a)) || text(a.nickname).indexOf(said) - text(b.nickname).indexOf(said));
  for (const each of names.slice(0, 8)) push(text(each.nickname), hintOf(text(each.nickname)), () => go(href("mouse", text(each.nickname))));
  for (const each of DESTINATIONS)
    if (each.label.toLowerCase().includes(said)) push(each.label, each.about, () => go(href(each.screen)));
  for (const [label, hint, address] of PLACES) if (label.toLowerCase().includes(said)) push(label, hint, () => go(address));
  for (const each of rows("cage")) if (text(each.name).toLowerCase().startsWith(said)) push(`Cage ${text(each.name)}`, text(each.room), () => go(href("cage", text(each.id))));
  for (const each of rows("litter")) if (text(each.name).toLowerCase().includes(said)) push(`Litter ${text(each.name)}`, text(each.birth_date), () => go(href("litter", text(each.name))));
  for (const each of rows("line")) if (text(each.name).toLowerCase().includes(said)) push(`Line ${text(each.name)}`, "", () => go(href("lists", "lines", text(each.name))));
  return found;
}

function hintOf(nickname: string): string {
  const mouse = mice.value.find((each) => each.nickname === nickname);
  if (!mouse) return "";
  return [mouse.sex, mouse.line, cageOf(mouse) && `cage ${cageOf(mouse)}`, lives(mouse) ? "" : "dead"].map(text).filter(Boolean).join(" · ");
}

export function Search() {
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState(0);
  const box = useRef<HTMLDialogElement>(null);
  const open = searching.value;
  useEffect(() => {
    const dialog = box.current!;
    if (open && !dialog.open) {
      setTyped("");
      setAt(0);
      dialog.showModal();
    }
    if (!open && dialog.open) dialog.close();
  }, [open]);
  const all = mice.value;
  const found = useMemo(() => (open ? find(typed) : []), [open, typed, all]);
  const run = (one: Found | undefined): void => {
    if (!one) return;
    searching.value = false;
    one.run();
  };
  return (
    <dialog ref={box} class="search" aria-label="Search" onClose={() => (searching.value = false)} onClick={(e) => e.target === box.current && (searching.value = false)}>
      {open && (
        <div>
          <input
            class="input search-box"
            type="text"
            role="combobox"
            aria-expanded="true"
            aria-controls="found"
            aria-activedescendant={found.length ? `found-${at}` : undefined}
            aria-label="Find a mouse, cage, litter or screen"
            placeholder="Mouse, cage, litter – or “cull FI_003”"
            autocomplete="off"
            spellcheck={false}
            value={typed}
            onInput={(event) => {
              setTyped(event.currentTarget.value);
              setAt(0);
            }}
            onKeyDown={(event) => {
              if (event.key === "ArrowDown" || event.key === "ArrowUp") {
                event.preventDefault();
                setAt(Math.max(0, Math.min(found.length - 1, at + (event.key === "ArrowDown" ? 1 : -1))));
              } else if (event.key === "Enter") {
                event.preventDefault();
                run(found[at]);
              }
            }}
          />
          <ul class="found" id="found" role="listbox" aria-label="Found">
            {found.map((each, i) => (
              <li key={each.label} id={`found-${i}`} role="option" aria-selected={i === at} onClick={() => run(each)}>
                <span>{each.label}</span>
                <span class="muted small">{each.hint}</span>
              </li>
            ))}
          </ul>
          {!found.length && <p class="empty">Nothing is called “{typed}”.</p>}
        </div>
      )}
    </dialog>
  );
}
