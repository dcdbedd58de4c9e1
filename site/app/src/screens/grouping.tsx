// Animals that are put together: by tags, and by weaning them into a cage.
import { useState } from "preact/hooks";
import { list, type Row, text, type Write } from "../data/model.ts";
import { name, names } from "../data/select.ts";
import { lab } from "../data/session.ts";
import { rows } from "../data/store.ts";
import { today } from "../data/time.ts";
import { create, perform, update } from "../data/undo.ts";
import { Picker } from "../forms/picker.tsx";
import { closeSheet } from "../parts/sheet.tsx";
import { move } from "./moving.tsx";

/** Put animals into groups and take them out of them. */
export function Tags({ mice }: { mice: Row[] }) {
  const known = rows("subject-tag").filter((each) => each.lab === lab.value).sort((a, b) => text(a.name).localeCompare(text(b.name)));
  const chosen = mice.map(name);
  const inside = (tag: Row): number => chosen.filter((each) => list(tag.subjects).includes(each)).length;
  const [changed, setChanged] = useState<Record<string, boolean>>({});
  const [made, setMade] = useState("");
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const writes = known.flatMap((tag): Write[] => {
      const on = changed[text(tag.name)];
      if (on === undefined || inside(tag) === (on ? chosen.length : 0)) return [];
      const others = list(tag.subjects).filter((each) => !chosen.includes(each));
      return [update("subject-tags", text(tag.name), { subjects: on ? [...others, ...chosen] : others })];
    });
    const called = made.trim();
    const there = known.find((each) => text(each.name) === called);
    if (called && there) writes.push(update("subject-tags", called, { subjects: [...new Set([...list(there.subjects), ...chosen])] }));
    else if (called) writes.push(create("subject-tags", { name: called, lab: lab.value, subjects: chosen }));
    if (writes.length) await perform(`Tags of ${names(mice)}`, writes);
    closeSheet();
  };
  return (
    <form class="form" onSubmit={(event) => void submit(event)}>
      {known.length > 0 && (
        <fieldset class="form-group">
          <legend>Tags</legend>
          <div class="ticks">
            {known.map((tag) => {
              const key = text(tag.name);
              const some = inside(tag);
              return (
                <label key={key} class="tick">
                  <input
                    type="checkbox"
                    checked={changed[key] ?? some === chosen.length}
                    ref={(box) => void (box && (box.indeterminate = changed[key] === undefined && some > 0 && some < chosen.length))}
                    onChange={(event) => setChanged({ ...changed, [key]: event.currentTarget.checked })}
                  />
                  {key} <span class="muted small">{list(tag.subjects).length}</span>
                </label>
              );
            })}
          </div>
        </fieldset>
      )}
      <div class="field">
        <label class="label" for="tag-new">New tag</label>
        <input id="tag-new" class="input" maxLength={255} autocomplete="off" placeholder="cohort 12" value={made} onInput={(event) => setMade(event.currentTarget.value)} />
      </div>
      <div class="form-end"><button class="primary">Save</button></div>
    </form>
  );
}

/** Wean animals of one or more litters; into a cage where one is named. */
export function Wean({ mice }: { mice: Row[] }) {
  const [date, setDate] = useState(today());
  const [cage, setCage] = useState("");
  return (
    <form
      class="form"
      onSubmit={(event) => {
        event.preventDefault();
        const writes = mice.map((mouse) => update("subjects", name(mouse), { wean_date: date }));
        if (cage) move(mice.map((each) => ({ ...each, wean_date: date })), cage, `Weaned ${names(mice)}`, writes);
        else void perform(`Weaned ${names(mice)}`, writes).then(closeSheet);
      }}
    >
      <div class="field">
        <label class="label" for="wean-date">Weaned on</label>
        <input id="wean-date" class="input" type="date" required max={today()} value={date} onInput={(event) => setDate(event.currentTarget.value)} />
      </div>
      <div class="field">
        <label class="label" for="wean-cage">Cage</label>
        <Picker id="wean-cage" kind="cage" by="id" value={cage} onPick={setCage} open placeholder="Name, or scan the card" />
        <p class="help">Empty: they stay where they are. A new name makes a new cage.</p>
      </div>
      <div class="form-end"><button class="primary">Wean</button></div>
    </form>
  );
}
