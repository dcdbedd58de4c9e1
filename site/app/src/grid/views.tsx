// Views of a list that people keep: for themselves, or for all of their lab.
import { useState } from "preact/hooks";
import { list, type Row, text } from "../data/model.ts";
import { lab, me } from "../data/session.ts";
import { rows } from "../data/store.ts";
import { create, perform, remove, update } from "../data/undo.ts";
import { go, href } from "../parts/router.ts";
import { closeSheet, openSheet } from "../parts/sheet.tsx";
import type { Look, Shown } from "./list.tsx";

/** Return how a kept view looks at a list. */
export function lookOf(view: Row): Look {
  const { words, ...picked } = (view.filters ?? {}) as Record<string, unknown>;
  return {
    words: text(words),
    picked: Object.fromEntries(Object.entries(picked).map(([name, value]) => [name, text(value)])),
    order: list(view.sort)[0] ?? "",
    columns: list(view.columns),
  };
}

const kept = (look: Look): Row => ({
  filters: { ...Object.fromEntries(Object.entries(look.picked).filter(([, value]) => value)), ...(look.words ? { words: look.words } : {}) },
  sort: look.order ? [look.order] : [],
  columns: look.columns,
});

interface Props {
  screen: string;
  columns: Shown[];
  look: Look;
  set: (look: Look) => void;
  /** Key of the view that is open. */
  open: string;
}

export function Views({ screen, columns, look, set, open }: Props) {
  const mine = rows("view").filter((each) => each.screen === screen && (each.user ? each.user === me.value?.username : each.lab === lab.value));
  const named = (found: Row[]): Row[] => found.sort((a, b) => text(a.name).localeCompare(text(b.name)));
  const groups: [string, Row[]][] = [["Mine", named(mine.filter((each) => each.user))], [`Of ${lab.value}`, named(mine.filter((each) => !each.user))]];
  const at = mine.find((each) => text(each.id) === open);
  return (
    <>
      <label class="facet">
        <select class="input" aria-label="View" value={at ? open : ""} onChange={(event) => go(href(screen) + (event.currentTarget.value ? `?view=${event.currentTarget.value}` : ""))}>
          <option value="">View: usual</option>
          {groups.map(([label, found]) => found.length > 0 && (
            <optgroup key={label} label={label}>
              {found.map((each) => <option key={text(each.id)} value={text(each.id)}>{text(each.name)}</option>)}
            </optgroup>
          ))}
        </select>
      </label>
      <button type="button" class="button" onClick={() => openSheet(at ? `View ${text(at.name)}` : "Keep this view", () => <Keep screen={screen} columns={columns} look={look} set={set} at={at} />)}>
        {at ? "Change view" : "Keep view"}
      </button>
    </>
  );
}

function Keep({ screen, columns, look, set, at }: Omit<Props, "open"> & { at: Row | undefined }) {
  const [name, setName] = useState(text(at?.name));
  const [shared, setShared] = useState(!!at && !at.user);
  const usual = columns.filter((each) => !each.extra).map((each) => each.name);
  const [shown, setShown] = useState<ReadonlySet<string>>(new Set(look.columns.length ? look.columns : usual));
  const [error, setError] = useState("");
  const save = async (): Promise<void> => {
    const called = name.trim();
    if (!called) return setError("Give the view a name.");
    const chosen = columns.map((each) => each.name).filter((each) => shown.has(each));
    const next: Look = { ...look, columns: chosen.join() === usual.join() ? [] : chosen };
    const body = { ...kept(next), name: called, user: shared ? null : me.value?.username };
    const write = at ? update("views", text(at.id), body) : create("views", { ...body, screen, lab: lab.value });
    await perform(`${at ? "Changed" : "Kept"} the view ${called}`, [write]);
    set(next);
    closeSheet();
    go(href(screen) + `?view=${at ? text(at.id) : text(write.body?.id)}`);
  };
  const drop = async (): Promise<void> => {
    await perform(`Deleted the view ${text(at!.name)}`, [remove("views", text(at!.id))]);
    closeSheet();
    go(href(screen));
  };
  return (
    <form class="form" onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <div class="field">
        <label class="label" for="view-name">Name</label>
        <input id="view-name" class="input" maxLength={255} autocomplete="off" value={name} aria-invalid={!!error || undefined} aria-describedby="view-help" onInput={(event) => setName(event.currentTarget.value)} />
        {error && <p class="error" role="alert">{error}</p>}
        <p class="help" id="view-help">What is looked for, the filters, the order and the columns are kept.</p>
      </div>
      <fieldset class="form-group">
        <legend>Columns</legend>
        <div class="ticks">
          {columns.slice(1).map((each) => (
            <label key={each.name} class="tick">
              <input type="checkbox" checked={shown.has(each.name)} onChange={(event) => setShown(new Set(event.currentTarget.checked ? [...shown, each.name] : [...shown].filter((one) => one !== each.name)))} />
              {each.label}
            </label>
          ))}
        </div>
      </fieldset>
      <div class="field field-bool">
        <label class="label" for="view-shared">For all of {lab.value}</label>
        <input id="view-shared" class="switch" type="checkbox" role="switch" checked={shared} onChange={(event) => setShared(event.currentTarget.checked)} />
      </div>
      <div class="form-end">
        {at && <button type="button" class="button bad" onClick={() => void drop()}>Delete</button>}
        <button class="primary">{at ? "Change" : "Keep"}</button>
      </div>
    </form>
  );
}
