// Racks and their slots; moves, cleaning, warnings; the history of a cage.
import { useMemo, useState } from "preact/hooks";
import { called, list, num, type Row, text } from "../data/model.ts";
import { cageMates, name, names, openStay } from "../data/select.ts";
import { lab } from "../data/session.ts";
import { row, rows } from "../data/store.ts";
import { age, said, saidTime, today } from "../data/time.ts";
import { perform, update } from "../data/undo.ts";
import { Form } from "../forms/form.tsx";
import { useDrag } from "../parts/drag.ts";
import { Empty } from "../parts/empty.tsx";
import { href, place } from "../parts/router.ts";
import { closeSheet, openSheet } from "../parts/sheet.tsx";
import { mixed } from "../data/moves.ts";
import { add } from "./lists.tsx";
import { move } from "./moving.tsx";
import { form } from "../data/forms.ts";
import { cleanToday } from "./today.tsx";

/** Animals in a cage by its name. */
const inside = (cage: Row): Row[] => cageMates.value.get(text(cage.name)) ?? [];

/** What is to be looked at in a cage. */
export function warnings(cage: Row): string[] {
  const found = inside(cage);
  const told: string[] = [];
  const capacity = num(cage.capacity);
  if (capacity && found.length > capacity) told.push(`${found.length} animals, room for ${capacity}`);
  if (mixed(found)) told.push("males and females that are no pair");
  if (found.length === 1) told.push("one animal alone");
  return told;
}

export function Cages() {
  const which = place.value.query.get("which") ?? "";
  const all = rows("cage").filter((each) => each.lab === lab.value);
  const now = today();
  const shown = which === "clean" ? all.filter((each) => cleanToday(each, now)) : all;
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const racks = useMemo(() => {
    const found = new Map<string, Row[]>();
    for (const each of shown) {
      const key = [each.room, each.rack].map(text).filter(Boolean).join(", rack ") || "Not in a rack";
      found.set(key, [...(found.get(key) ?? []), each]);
    }
    for (const each of found.values()) each.sort((a, b) => Number(a.row ?? 0) - Number(b.row ?? 0) || Number(a.column ?? 0) - Number(b.column ?? 0) || text(a.name).localeCompare(text(b.name), undefined, { numeric: true }));
    return [...found].sort(([a], [b]) => a.localeCompare(b));
  }, [shown]);
  const warned = all.flatMap((each) => warnings(each).filter((told) => told !== "one animal alone").map((told) => ({ cage: each, told })));
  const put = (keys: string[], cage: Row | undefined): void => {
    const moved = keys.map((each) => row("subject", each)).filter((each) => !!each && text(openStay(name(each))?.cage) !== text(cage?.id)) as Row[];
    setChosen(new Set());
    if (cage && moved.length) move(moved, text(cage.id), `Moved ${names(moved)} to ${text(cage.name)}`);
  };
  const drag = useDrag((key, slot) => put(chosen.has(key) ? [...chosen] : [key], row("cage", slot)));
  const choose = (key: string): void => {
    if (drag.dragged()) return;
    const next = new Set(chosen);
    if (!next.delete(key)) next.add(key);
    setChosen(next);
  };
  return (
    <>
      <header class="page-head">
        <h1>Cages</h1>
        <span class="actions tight">
          <a class="button" href={href("cards") + `?cages=${encodeURIComponent(shown.slice(0, 10).map((each) => text(each.id)).join(","))}&print`}>Print cards</a>
          <button type="button" class="primary" data-new onClick={() => add(form("cages"))}>New</button>
        </span>
      </header>
      <div class="segments" role="group" aria-label="Which cages">
        <a class="segment" href={href("cages")} aria-current={which ? undefined : "true"}>All ({all.length})</a>
        <a class="segment" href={href("cages") + "?which=clean"} aria-current={which === "clean" ? "true" : undefined}>To clean ({all.filter((each) => cleanToday(each, now)).length})</a>
      </div>
      {warned.length > 0 && <ul class="plain warnings">{warned.slice(0, 6).map(({ cage, told }) => <li key={text(cage.id) + told} class="warn-text"><a href={href("cage", text(cage.id))}>{text(cage.name)}</a>: {told}</li>)}</ul>}
      {which === "clean" && shown.length > 0 && <p class="actions"><button type="button" class="primary" onClick={() => void perform(`Cleaned ${shown.length} cages`, shown.map((each) => update("cages", text(each.id), { last_cleaned: now })))}>All cleaned</button></p>}
      {racks.length > 0 && <p class="muted small">Drag a mouse to another cage, or choose it and then the cage; on a touch screen hold it first.</p>}
      {chosen.size > 0 && (
        <div class="bulk" role="region" aria-label="With those chosen">
          <strong>{names([...chosen].map((nickname) => ({ nickname })))} chosen</strong>
          <button type="button" class="quiet" onClick={() => setChosen(new Set())}>Clear</button>
        </div>
      )}
      {racks.map(([rack, found]) => (
        <section key={rack}>
          <h2>{rack}</h2>
          <ul class="rack">
            {found.map((cage) => (
              <li key={text(cage.id)} data-slot={text(cage.id)} class={`slot ${warnings(cage).length ? "odd" : ""} ${inside(cage).length ? "" : "free"} ${drag.over === cage.id ? "over" : ""}`}>
                <a href={href("cage", text(cage.id))}><strong>{text(cage.name)}</strong> <span class="muted small">{inside(cage).length}{cage.capacity ? `/${text(cage.capacity)}` : ""}</span></a>
                <span class="slot-mice">
                  {inside(cage).map((mouse) => (
                    <button key={name(mouse)} type="button" class="mouse-chip" aria-pressed={chosen.has(name(mouse))} onPointerDown={(event) => drag.start(event, name(mouse))} onClick={() => choose(name(mouse))}>{called(name(mouse))}</button>
                  ))}
                </span>
                {chosen.size > 0 && ![...chosen].every((each) => openStay(each)?.cage === cage.id) && (
                  <button type="button" class="button small put" aria-label={`Put ${chosen.size === 1 ? [...chosen][0] : `${chosen.size} mice`} into ${text(cage.name)}`} onClick={() => put([...chosen], cage)}>Put here</button>
                )}
              </li>
            ))}
          </ul>
        </section>
      ))}
      {!shown.length && <Empty title={which ? "No cage is due" : "No cages yet"}>{which ? "Cleaning days are set in each cage." : "Moving an animal to a new name makes a cage."}</Empty>}
    </>
  );
}

export function Cage() {
  const key = place.value.parts[0] ?? "";
  const cage = row("cage", key) ?? rows("cage").find((each) => text(each.name) === key);
  if (!cage) return <Empty whole title="This cage is not on this device"><a href={href("cages")}>Cages</a></Empty>;
  const id = text(cage.id);
  const history = rows("stay").filter((each) => each.cage === id).sort((a, b) => text(b.start).localeCompare(text(a.start)));
  const facts = form("cages").fields.filter((each) => !["name", "lab", "json"].includes(each.name) && cage[each.name] !== null && cage[each.name] !== undefined && cage[each.name] !== "");
  return (
    <>
      <header class="page-head">
        <div><p class="crumb"><a href={href("cages")}>Cages</a></p><h1>{text(cage.name)}</h1></div>
        <a class="primary" href={href("weigh") + `?which=cage:${encodeURIComponent(text(cage.name))}`}>Weigh</a>
      </header>
      {warnings(cage).map((each) => <p key={each} class="warn-text">{each}</p>)}
      <ul class="rows">{inside(cage).map((each) => <li key={name(each)}><a class="row-main" href={href("mouse", name(each))}><strong>{name(each)}</strong> <span class="muted">{text(each.sex)} {age(each.birth_date)} {text(each.line)}</span></a></li>)}</ul>
      <p class="actions">
        <button type="button" class="button" onClick={() => void perform(`Cleaned ${text(cage.name)}`, [update("cages", id, { last_cleaned: today() })])}>Cleaned</button>
        <a class="button" href={href("cards") + `?cages=${encodeURIComponent(id)}`}>Card</a>
        <button type="button" class="button" onClick={() => openSheet(`Change ${text(cage.name)}`, () => <Form path="cages" row={cage} recordKey={id} onDone={closeSheet} onCancel={closeSheet} />)}>Change</button>
      </p>
      <dl class="details">{facts.map((each) => <div key={each.name}><dt>{each.label}</dt><dd>{each.type === "date" ? said(cage[each.name]) : Array.isArray(cage[each.name]) ? list(cage[each.name]).join(", ") : text(cage[each.name])}</dd></div>)}</dl>
      <h2>Who was here</h2>
      {history.length ? <ul class="plain">{history.slice(0, 60).map((each) => <li key={text(each.id)}><a href={href("mouse", text(each.subject))}>{text(each.subject)}</a> <span class="muted small">{saidTime(each.start)} to {each.end ? saidTime(each.end) : "now"}</span></li>)}</ul> : <p class="muted">Nobody yet.</p>}
    </>
  );
}

