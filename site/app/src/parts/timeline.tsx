// What happened, newest first, by day.
import { useState } from "preact/hooks";
import type { Entry } from "../data/select.ts";
import { day, said, wall } from "../data/time.ts";
import { Picture, picturesOf } from "./picture.tsx";
import { href } from "./router.ts";

const PAGE = 60;

const KINDS: [string, string, string[]][] = [
  ["", "Everything", []],
  ["notebook", "Notebook", ["note", "surgery", "session", "restriction", "cull"]],
  ["weights", "Weights & water", ["weight", "water"]],
  ["colony", "Colony", ["born", "weaned", "genotype", "move", "cull"]],
];

export function Timeline({ entries }: { entries: Entry[] }) {
  const [which, setWhich] = useState("");
  const [shown, setShown] = useState(PAGE);
  const kinds = KINDS.find((each) => each[0] === which)![2];
  const found = kinds.length ? entries.filter((each) => kinds.includes(each.kind)) : entries;
  const days = new Map<string, Entry[]>();
  for (const each of found.slice(0, shown)) {
    const on = day(each.at);
    days.set(on, [...(days.get(on) ?? []), each]);
  }
  return (
    <section>
      <div class="segments" role="group" aria-label="What to show">
        {KINDS.map(([key, label]) => <button key={key} type="button" aria-pressed={which === key} onClick={() => setWhich(key)}>{label}</button>)}
      </div>
      {!found.length && <p class="muted">Nothing yet.</p>}
      <ol class="timeline">
        {[...days].map(([on, found_]) => (
          <li key={on}>
            <h2>{said(on)}</h2>
            <ul>
              {found_.map((each, i) => (
                <li key={each.kind + each.key + i} class={`entry ${each.kind}`}>
                  <span class="time muted small">{wall(each.at).slice(11, 16)}</span>
                  <span class="entry-text">
                    {each.kind === "session" ? <a href={href("session", each.key)}>{each.what}</a> : each.key ? <a class="entry-link" href={href("lists", each.path, each.key)}>{each.what}</a> : each.what}
                    {each.note && picturesOf(each.note).map((one) => <Picture key={one.id ?? one.src} {...one} width={200} alt={each.what} />)}
                    {each.detail && <span class="muted small entry-detail">{each.detail}</span>}
                  </span>
                </li>
              ))}
            </ul>
          </li>
        ))}
      </ol>
      {found.length > shown && <button type="button" class="button" onClick={() => setShown(shown + PAGE)}>Earlier</button>}
    </section>
  );
}
