// Litters: births by counts, pups in a grid, weaning into cages.
import { useState } from "preact/hooks";
import { nextNames } from "../data/names.ts";
import { num, type Row, text, type Write } from "../data/model.ts";
import { birthsExpected, cageMates, genotypeText, lineOf, lives, name, parents, pups, WEAN_DAYS } from "../data/select.ts";
import { lab } from "../data/session.ts";
import { row, rows } from "../data/store.ts";
import { addDays, age, daysBetween, said, today } from "../data/time.ts";
import { create, perform, update } from "../data/undo.ts";
import { Picker } from "../forms/picker.tsx";
import { Grid, type Values } from "../grid/grid.tsx";
import { Empty } from "../parts/empty.tsx";
import { go, href, place } from "../parts/router.ts";
import { closeSheet, openSheet } from "../parts/sheet.tsx";
import { leaving, moveWrites } from "../data/moves.ts";

/** Day on which a litter is to be weaned. */
export function weanDay(litter: Row): string {
  const line = row("line", litter.line);
  const days = num(line?.wean_age_days) ?? num(row("lab", lab.value)?.wean_age_days) ?? WEAN_DAYS;
  return litter.birth_date ? addDays(text(litter.birth_date), days) : "";
}

const COUNTS: [field: string, sex: string, label: string][] = [["male", "M", "Males"], ["female", "F", "Females"], ["unknown", "U", "Not sexed"]];

function NewLitter({ pair }: { pair?: Row }) {
  const [chosen, setChosen] = useState(text(pair?.name));
  const [birth, setBirth] = useState(today());
  const [counts, setCounts] = useState<Record<string, string>>({});
  const [error, setError] = useState("");
  const known = row("breeding-pair", chosen);
  const total = COUNTS.reduce((sum, [field]) => sum + (num(counts[field]) ?? 0), 0);
  const line = row("line", known?.line);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (!known || !line) return setError("Choose a breeding pair that has a line.");
    const [litter] = nextNames("litter", line, 1);
    const names = nextNames("subject", line, total);
    const father = row("subject", known.father);
    const mother = row("subject", known.mother1);
    const inherited = (field: string): unknown => line[field] ?? father?.[field] ?? mother?.[field] ?? null;
    const owner = text(father?.responsible_user ?? mother?.responsible_user);
    let at = 0;
    const made: Write[] = [create("litters", { name: litter, line: line.name, breeding_pair: chosen, birth_date: birth, born: total })];
    for (const [field, sex] of COUNTS)
      for (let i = 0; i < (num(counts[field]) ?? 0); i++)
        made.push(
          create("subjects", {
            nickname: names[at++], sex, lab: lab.value, line: line.name, litter, birth_date: birth,
            ...(owner ? { responsible_user: owner } : {}),
            species: inherited("species"), strain: inherited("strain"), source: inherited("source"),
            projects: father?.projects ?? [], to_be_genotyped: Array.isArray(line.alleles) && line.alleles.length > 0,
          }),
        );
    await perform(`New litter ${litter!} with ${total} pups`, made);
    closeSheet();
    go(href("litter", litter!));
  };
  return (
    <form class="form" onSubmit={(event) => void submit(event)}>
      <div class="field">
        <label class="label" for="litter-pair">Breeding pair</label>
        <Picker id="litter-pair" kind="breeding-pair" value={chosen} onPick={setChosen} keep={(each) => !each.end_date} />
        {known && <p class="help">{parents(known).join(" × ")} · {text(known.line)}</p>}
        {error && <p class="error" role="alert">{error}</p>}
      </div>
      <div class="field">
        <label class="label" for="litter-birth">Born on</label>
        <input id="litter-birth" class="input" type="date" max={today()} value={birth} onChange={(event) => setBirth(event.currentTarget.value || today())} />
      </div>
      <div class="counts">
        {COUNTS.map(([field, , label]) => (
          <div class="field" key={field}>
            <label class="label" for={`litter-${field}`}>{label}</label>
            <input id={`litter-${field}`} class="input number" inputMode="numeric" autocomplete="off" enterkeyhint="next" value={counts[field] ?? ""} onInput={(event) => setCounts({ ...counts, [field]: event.currentTarget.value.replace(/\D/g, "") })} />
          </div>
        ))}
      </div>
      {line && total > 0 && <p class="muted small">{total} pups: {nextNames("subject", line, total)[0]} to {nextNames("subject", line, total).at(-1)}</p>}
      <div class="form-end"><button class="primary">Save</button></div>
    </form>
  );
}

export const newLitter = (pair?: Row): void => openSheet("New litter", () => <NewLitter pair={pair} />);

export function Litters() {
  const which = place.value.query.get("which") ?? "";
  const mine = rows("litter").filter((each) => !row("line", each.line)?.lab || row("line", each.line)?.lab === lab.value);
  const now = today();
  const young = mine.filter((each) => (pups.value.get(text(each.name)) ?? []).some((pup) => !pup.wean_date && lives(pup)));
  const weaning = young.filter((each) => weanDay(each) <= now);
  const shown = (which === "wean" ? weaning : mine).slice().sort((a, b) => text(b.birth_date).localeCompare(text(a.birth_date)));
  return (
    <>
      <header class="page-head">
        <h1>Litters</h1>
        <button type="button" class="primary" data-new onClick={() => newLitter()}>New litter</button>
      </header>
      {birthsExpected.value.length > 0 && which !== "wean" && (
        <>
          <h2>Births expected</h2>
          <ul class="rows">
            {birthsExpected.value.slice(0, 12).map(({ pair, on }) => (
              <li key={text(pair.name)}>
                <span><a href={href("pair", text(pair.name))}>{text(pair.name)}</a> <span class="muted">{parents(pair).join(" × ")}</span><br /><span class={daysBetween(on, now) > 0 ? "warn-text small" : "muted small"}>{said(on)}{daysBetween(on, now) > 0 ? `, ${daysBetween(on, now)} days over` : ""}</span></span>
                <button type="button" class="button" aria-label={`New litter of ${text(pair.name)}`} onClick={() => newLitter(pair)}>Born</button>
              </li>
            ))}
          </ul>
          <h2>All litters</h2>
        </>
      )}
      <div class="segments" role="group" aria-label="Which litters">
        <a class="segment" href={href("litters")} aria-current={which !== "wean" ? "true" : undefined}>All</a>
        <a class="segment" href={href("litters") + "?which=wean"} aria-current={which === "wean" ? "true" : undefined}>To wean ({weaning.length})</a>
      </div>
      {shown.length ? (
        <ul class="rows">
          {shown.slice(0, 100).map((each) => {
            const found = pups.value.get(text(each.name)) ?? [];
            const unweaned = found.filter((pup) => !pup.wean_date && lives(pup)).length;
            return (
              <li key={text(each.name)}>
                <a class="row-main" href={href("litter", text(each.name))}>
                  <strong>{text(each.name)}</strong> <span class="muted">{text(each.line)}</span><br />
                  <span class="muted small">{said(each.birth_date)}, {age(each.birth_date)} · {found.length} pups{unweaned ? ` · ${unweaned} to wean ${said(weanDay(each))}` : ""}</span>
                </a>
              </li>
            );
          })}
        </ul>
      ) : <Empty title={which === "wean" ? "No litter is due for weaning" : "No litters yet"}>A litter is added from its pair, by the numbers of males and females.</Empty>}
    </>
  );
}

const PUP_COLUMNS = [
  { name: "sex", label: "Sex", type: "choice" as const, choices: ["M", "F", "U"].map((key) => ({ key, label: key })) },
  { name: "ear_mark", label: "Ear mark" },
  { name: "to_be_genotyped", label: "To genotype", type: "check" as const },
  { name: "description", label: "Note", wide: true, minor: true },
];

export function Litter() {
  const key = place.value.parts[0] ?? "";
  const litter = row("litter", key);
  const [values, setValues] = useState<Values>({});
  if (!litter) return <Empty whole title={`${key} is not on this device`}><a href={href("litters")}>Litters</a></Empty>;
  const found = (pups.value.get(key) ?? []).slice().sort((a, b) => name(a).localeCompare(name(b)));
  const unweaned = found.filter((each) => !each.wean_date && lives(each));
  const start: Values = Object.fromEntries(found.map((each) => [name(each), Object.fromEntries(PUP_COLUMNS.map((column) => [column.name, column.type === "check" ? (each[column.name] ? "yes" : "") : text(each[column.name])]))]));
  const now: Values = Object.fromEntries(found.map((each) => [name(each), { ...start[name(each)], ...values[name(each)] }]));
  const writes = found.flatMap((each) => {
    const body: Row = {};
    for (const column of PUP_COLUMNS) {
      const value = now[name(each)]![column.name] ?? "";
      if (value !== start[name(each)]![column.name]) body[column.name] = column.type === "check" ? value === "yes" : value;
    }
    return Object.keys(body).length ? [update("subjects", name(each), body)] : [];
  });
  return (
    <>
      <header class="page-head">
        <div><p class="crumb"><a href={href("litters")}>Litters</a></p><h1>{key}</h1></div>
        {unweaned.length > 0 && <button type="button" class="primary" onClick={() => openSheet(`Wean ${key}`, () => <Wean litter={litter} found={unweaned} />)}>Wean</button>}
      </header>
      <dl class="facts">
        <div><dt>Line</dt><dd>{text(litter.line) || "–"}</dd></div>
        <div><dt>Pair</dt><dd>{litter.breeding_pair ? <a href={href("pair", text(litter.breeding_pair))}>{text(litter.breeding_pair)}</a> : "–"}</dd></div>
        <div><dt>Born</dt><dd>{said(litter.birth_date)} <span class="muted small">{age(litter.birth_date)}</span></dd></div>
        <div><dt>Wean</dt><dd>{unweaned.length ? said(weanDay(litter)) : "done"}</dd></div>
        <div><dt>Born, died, here</dt><dd>{text(litter.born) || found.length}, {text(litter.died) || 0}, {found.filter(lives).length}</dd></div>
        <div><dt>Males, females</dt><dd>{found.filter((each) => each.sex === "M").length}, {found.filter((each) => each.sex === "F").length}</dd></div>
      </dl>
      <p class="actions">
        <a class="button" href={href("genotyping") + `?litter=${encodeURIComponent(key)}`}>Genotype</a>
        <a class="button" href={href("cards") + `?mice=${encodeURIComponent(found.map(name).join(","))}`}>Cards</a>
      </p>
      {found.length ? (
        <>
          <Grid caption={`Pups of ${key}`} columns={[...PUP_COLUMNS, { name: "genotype", label: "Genotype", minor: true, show: (pup) => <span class="small">{genotypeText(row("subject", pup) ?? {})}</span> }]} rows={found.map((each) => ({ key: name(each), name: name(each), label: <a href={href("mouse", name(each))} tabIndex={-1}>{name(each)}</a> }))} values={now} onChange={setValues} />
          {writes.length > 0 && (
            <div class="save-bar"><div class="save-words muted small">{writes.length} changed</div><button type="button" class="primary" onClick={() => void perform(`Changed ${writes.length} pups of ${key}`, writes).then(() => setValues({}))}>Save</button></div>
          )}
        </>
      ) : <Empty title="No pups">They are added with the litter.</Empty>}
    </>
  );
}

/** Return cage names that nobody has yet, after the last number of the lab's cages. */
export function freeCages(count: number): string[] {
  const taken = new Set([...rows("cage").map((each) => text(each.name)), ...cageMates.value.keys()]);
  const found: string[] = [];
  for (let number = 1; found.length < count; number++) {
    const made = `W${String(number).padStart(3, "0")}`;
    if (!taken.has(made)) found.push(made);
  }
  return found;
}

function Wean({ litter, found }: { litter: Row; found: Row[] }) {
  const sexes = ["M", "F", "U"].filter((sex) => found.some((each) => each.sex === sex));
  const [free] = useState(() => freeCages(3));
  const [cages, setCages] = useState<Values>(() => Object.fromEntries(found.map((each) => [name(each), { cage: free[sexes.indexOf(text(each.sex))]! }])));
  const [date, setDate] = useState(today());
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const start = new Date().toISOString();
    const writes: Write[] = found.map((each) => update("subjects", name(each), { wean_date: date }));
    for (const cage of new Set(found.map((each) => (cages[name(each)]?.cage ?? "").trim()).filter(Boolean))) {
      const theirs = found.filter((each) => (cages[name(each)]?.cage ?? "").trim() === cage);
      writes.push(...moveWrites(theirs, cage, start));
    }
    await perform(`Weaned ${found.length} pups of ${text(litter.name)}`, writes, { shows: leaving(found, start) });
    closeSheet();
  };
  return (
    <form class="form" onSubmit={(event) => void submit(event)}>
      <div class="field">
        <label class="label" for="wean-date">Weaned on</label>
        <input id="wean-date" class="input" type="date" max={today()} value={date} onChange={(event) => setDate(event.currentTarget.value || today())} />
      </div>
      <Grid caption="Cages of the weaned pups" columns={[{ name: "sex", label: "Sex", show: (key) => text(row("subject", key)?.sex) }, { name: "cage", label: "Cage" }]} rows={found.map((each) => ({ key: name(each), name: name(each), label: name(each) }))} values={cages} onChange={setCages} />
      <p class="help">New names make new cages. {lineOf(found[0]) ? "" : "The litter has no line."}</p>
      <div class="form-end"><button class="primary">Wean {found.length}</button></div>
    </form>
  );
}

