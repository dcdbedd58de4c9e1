// Pairs with their litters, and plans of crosses.
import { useMemo, useState } from "preact/hooks";
import { nextNames } from "../data/names.ts";
import { list, num, type Row, text } from "../data/model.ts";
import { LITTER_SIZE, ranked } from "../data/plan.ts";
import { genotypeText, littersOf, nextBirth, openPairs, parents, sign } from "../data/select.ts";
import { lab } from "../data/session.ts";
import { row, rows } from "../data/store.ts";
import { addDays, age, daysBetween, said, today } from "../data/time.ts";
import { create, perform, update } from "../data/undo.ts";
import { Form } from "../forms/form.tsx";
import { Picker } from "../forms/picker.tsx";
import { List, type Shown } from "../grid/list.tsx";
import { Empty } from "../parts/empty.tsx";
import { go, href, place } from "../parts/router.ts";
import { closeSheet, openSheet } from "../parts/sheet.tsx";
import { newLitter } from "./litters.tsx";

const COLUMNS: Shown[] = [
  { name: "name", label: "Pair" },
  { name: "parents", label: "Parents", show: (pair) => parents(pair).join(" × "), value: (pair) => parents(pair).join(" ") },
  { name: "next", label: "Next birth", show: (pair) => said(nextBirth(pair)), value: nextBirth },
  { name: "litters", label: "Litters", show: (pair) => String(littersOf(text(pair.name)).length), value: (pair) => littersOf(text(pair.name)).length },
  { name: "line", label: "Line", minor: true },
  { name: "since", label: "Together", show: (pair) => (pair.start_date ? `${daysBetween(text(pair.start_date), today())} d` : ""), value: (pair) => text(pair.start_date), minor: true },
  { name: "last", label: "Last birth", show: (pair) => said(littersOf(text(pair.name)).at(-1)?.birth_date), value: (pair) => text(littersOf(text(pair.name)).at(-1)?.birth_date), minor: true },
];

function NewPair({ father: his = "", mother: hers = "" }: { father?: string; mother?: string }) {
  const [line, setLine] = useState(text(row("subject", his)?.line));
  const [father, setFather] = useState(his);
  const [mother, setMother] = useState(hers);
  const [second, setSecond] = useState("");
  const [cage, setCage] = useState("");
  const [error, setError] = useState("");
  const of = (sex: string) => (each: Row): boolean => each.sex === sex && !each.death_date && (!line || each.line === line);
  const busy = [father, mother, second].filter((each) => each && openPairs.value.some((pair) => parents(pair).includes(each)));
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const named = line || text(row("subject", father)?.line) || text(row("subject", mother)?.line);
    if (!father || !mother) return setError("Choose a father and a mother.");
    if (!named || !row("line", named)) return setError("Choose a line.");
    const [pair] = nextNames("breeding-pair", row("line", named), 1);
    await perform(`Paired ${father} and ${mother}`, [create("breeding-pairs", { name: pair, line: named, father, mother1: mother, ...(second ? { mother2: second } : {}), start_date: today(), cage })]);
    closeSheet();
    go(href("pair", pair!));
  };
  const animal = (id: string, label: string, sex: string, value: string, set: (key: string) => void) => (
    <div class="field">
      <label class="label" for={id}>{label}</label>
      <Picker id={id} kind="subject" value={value} onPick={set} keep={of(sex)} />
      {value && <p class="help">{text(row("subject", value)?.line)} {age(row("subject", value)?.birth_date)} {genotypeText(row("subject", value) ?? {})}</p>}
    </div>
  );
  return (
    <form class="form" onSubmit={(event) => void submit(event)}>
      <div class="field"><label class="label" for="pair-line">Line</label><Picker id="pair-line" kind="line" value={line} onPick={setLine} /></div>
      {animal("pair-father", "Father", "M", father, setFather)}
      {animal("pair-mother", "Mother", "F", mother, setMother)}
      {animal("pair-second", "Second mother (if any)", "F", second, setSecond)}
      <div class="field"><label class="label" for="pair-cage">Cage</label><input id="pair-cage" class="input" value={cage} autocomplete="off" onInput={(event) => setCage(event.currentTarget.value)} /></div>
      {busy.length > 0 && <p class="warn-text">In another open pair: {busy.join(", ")}.</p>}
      {error && <p class="error" role="alert">{error}</p>}
      <div class="form-end"><button class="primary">Save</button></div>
    </form>
  );
}

export function Breeding() {
  const plan = place.value.query.has("plan");
  const all = rows("breeding-pair").filter((each) => !row("line", each.line)?.lab || row("line", each.line)?.lab === lab.value);
  return (
    <>
      <header class="page-head">
        <h1>Breeding</h1>
        <button type="button" class="primary" data-new onClick={() => openSheet("New breeding pair", () => <NewPair />)}>New pair</button>
      </header>
      <div class="segments" role="group" aria-label="What to show">
        <a class="segment" href={href("breeding")} aria-current={plan ? undefined : "true"}>Pairs</a>
        <a class="segment" href={href("breeding") + "?plan"} aria-current={plan ? "true" : undefined}>Plan a cross</a>
      </div>
      {plan ? <Plan /> : (
        <List
          label="Breeding pairs"
          rows={all}
          keyOf={(each) => text(each.name)}
          columns={COLUMNS}
          order="next"
          href={(each) => href("pair", text(each.name))}
          facets={[
            { name: "open", label: "Pairs", initial: "yes", options: [{ key: "yes", label: "Current" }, { key: "no", label: "Past" }], keep: (each, key) => !each.end_date === (key === "yes") },
            { name: "line", label: "Line", options: [...new Set(all.map((each) => text(each.line)))].sort().map((key) => ({ key, label: key })), keep: (each, key) => each.line === key },
          ]}
          empty={<Empty title="No pairs">Pair two animals with “New pair”, or plan a cross.</Empty>}
        />
      )}
    </>
  );
}

export function Pair() {
  const key = place.value.parts[0] ?? "";
  const pair = row("breeding-pair", key);
  if (!pair) return <Empty whole title={`${key} is not on this device`}><a href={href("breeding")}>Breeding</a></Empty>;
  const litters = littersOf(key);
  const next = nextBirth(pair);
  const event = (name: string, what: string): void => void perform(`${what}: ${key}`, [update("breeding-pairs", key, { events: [...(Array.isArray(pair.events) ? pair.events : []), { date: today(), event: name }], ...(name === "separation" ? { end_date: today() } : {}) })]);
  return (
    <>
      <header class="page-head">
        <div><p class="crumb"><a href={href("breeding")}>Breeding</a></p><h1>{key}</h1></div>
        {!pair.end_date && <button type="button" class="primary" onClick={() => newLitter(pair)}>New litter</button>}
      </header>
      <dl class="facts">
        {([["Father", pair.father], ["Mother", pair.mother1], ["Second mother", pair.mother2]] as const).filter(([, value]) => value).map(([label, value]) => (
          <div key={label}><dt>{label}</dt><dd><a href={href("mouse", text(value))}>{text(value)}</a> <span class="muted small">{age(row("subject", value)?.birth_date)}</span></dd></div>
        ))}
        <div><dt>Line</dt><dd>{text(pair.line)}</dd></div>
        <div><dt>Together</dt><dd>{said(pair.start_date) || "–"}{pair.end_date ? ` to ${said(pair.end_date)}` : ""}</dd></div>
        {!pair.end_date && <div><dt>Next birth</dt><dd>{said(next) || "–"}</dd></div>}
      </dl>
      {!pair.end_date && (
        <p class="actions">
          <button type="button" class="button" onClick={() => event("plug", "Plug seen")}>Plug today</button>
          <button type="button" class="button" onClick={() => event("separation", "Separated")}>Separate</button>
          <button type="button" class="button" onClick={() => openSheet(`Change ${key}`, () => <Form path="breeding-pairs" row={pair} recordKey={key} fields={["start_date", "end_date", "cage", "description"]} onDone={closeSheet} onCancel={closeSheet} />)}>Change</button>
        </p>
      )}
      <h2>Litters</h2>
      {litters.length ? (
        <ul class="rows">{litters.slice().reverse().map((each) => <li key={text(each.name)}><a class="row-main" href={href("litter", text(each.name))}><strong>{text(each.name)}</strong> <span class="muted">{said(each.birth_date)} · {text(each.born)} born</span></a></li>)}</ul>
      ) : <p class="muted">None yet.</p>}
    </>
  );
}

const WANTED: [string, string][] = [["0", "−/−"], ["1", "+/−"], ["2", "+/+"], ["3", "+ (one or two copies)"]];

function Plan() {
  const lines = rows("line").filter((each) => !each.lab || each.lab === lab.value).map((each) => text(each.name)).sort();
  const [line, setLine] = useState(lines[0] ?? "");
  const [wanted, setWanted] = useState<Record<string, string>>({});
  const [count, setCount] = useState("10");
  const alleles = list(row("line", line)?.alleles);
  const asked = Object.fromEntries(alleles.map((each) => [each, Number(wanted[each] ?? "1")]));
  const found = useMemo(() => (alleles.length ? ranked(line, asked, num(count) || 1) : []), [line, JSON.stringify(asked), count, rows("subject").length]);
  const fraction = (value: number): string => (Math.abs(value * 64 - Math.round(value * 64)) < 1e-9 ? simple(Math.round(value * 64), 64) : value.toFixed(2));
  return (
    <section>
      <div class="bar">
        <label class="field"><span class="label">Line</span><select class="input" value={line} onChange={(event) => { setLine(event.currentTarget.value); setWanted({}); }}>{lines.map((each) => <option key={each} value={each}>{each}</option>)}</select></label>
        {alleles.map((each) => (
          <label class="field" key={each}><span class="label">{each}</span><select class="input" value={wanted[each] ?? "1"} onChange={(event) => setWanted({ ...wanted, [each]: event.currentTarget.value })}>{WANTED.map(([key, label]) => <option key={key} value={key}>{label}</option>)}</select></label>
        ))}
        <label class="field"><span class="label">Animals wanted</span><input class="input number" inputMode="numeric" value={count} onInput={(event) => setCount(event.currentTarget.value.replace(/\D/g, ""))} /></label>
      </div>
      {found.length ? (
        <div class="table-box" tabIndex={0} role="region" aria-label="Pairs for this plan">
          <table class="table">
            <caption>One pair alone, {LITTER_SIZE} pups weaned a litter; two pairs take half as many litters. Ages 6 to 45 weeks, not paired yet.</caption>
            <thead><tr><th scope="col">Pair</th><th scope="col">Wanted pups</th><th scope="col">Litters</th><th scope="col">Last one born</th><th scope="col">Inbreeding</th><th scope="col"><span class="visually-hidden">Pair them</span></th></tr></thead>
            <tbody>
              {found.map((each) => (
                <tr key={each.mother + each.father}>
                  <th scope="row"><a href={href("mouse", each.father)}>{each.father}</a> × <a href={href("mouse", each.mother)}>{each.mother}</a></th>
                  <td>{fraction(each.fraction)}</td>
                  <td>{each.litters}</td>
                  <td>{said(addDays(today(), 7 * each.weeks))}, {each.weeks} w</td>
                  <td>{each.inbreeding.toFixed(3)}</td>
                  <td><button type="button" class="button small" aria-label={`Pair ${each.father} and ${each.mother}`} onClick={() => openSheet("New breeding pair", () => <NewPair father={each.father} mother={each.mother} />)}>Pair</button></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : <Empty title="No pair gives this">{alleles.length ? `No free animals of ${line} with known genotypes give ${alleles.map((each) => `${each} ${sign(asked[each])}`).join(", ")}.` : "The line has no alleles."}</Empty>}
    </section>
  );
}

function simple(top: number, bottom: number): string {
  const divisor = (a: number, b: number): number => (b ? divisor(b, a % b) : a);
  const by = divisor(top, bottom);
  return bottom / by === 1 ? String(top / by) : `${top / by}/${bottom / by}`;
}
