// Results of tests, typed with + and −, or pasted; zygosities with the rule that gave them.
import { useEffect, useMemo, useState } from "preact/hooks";
import { list, type Row, text } from "../data/model.ts";
import { genotype, lineOf, lives, living, name, of, pups, sign, tests } from "../data/select.ts";
import { row, rows } from "../data/store.ts";
import { said, today } from "../data/time.ts";
import { create, perform, remove, update } from "../data/undo.ts";
import { type Column, Grid, type Values } from "../grid/grid.tsx";
import { Empty } from "../parts/empty.tsx";
import { href, place } from "../parts/router.ts";

/** Sequences that are tested in a line: those of its alleles and of its rules. */
export function sequencesOf(line: Row | undefined): string[] {
  if (!line) return [];
  const found = new Set<string>();
  for (const allele of list(line.alleles)) for (const each of list(row("allele", allele)?.sequences)) found.add(each);
  for (const rule of rows("zygosity-rule").filter((each) => each.line === line.name))
    for (const each of [rule.sequence0, rule.sequence1]) if (each) found.add(text(each));
  return [...found];
}

/** What the rules of a line say to results, as the server will; first rule that is met. */
export function byRules(line: Row | undefined, results: Record<string, string>): { allele: string; zygosity: string; order: number }[] {
  const found: { allele: string; zygosity: string; order: number }[] = [];
  const rules = rows("zygosity-rule").filter((each) => each.line === line?.name).sort((a, b) => Number(a.order) - Number(b.order));
  for (const allele of list(line?.alleles)) {
    const met = rules.find((each) => each.allele === allele && results[text(each.sequence0)] === each.result0 && (!each.sequence1 || results[text(each.sequence1)] === each.result1));
    if (met) found.push({ allele, zygosity: sign(met.zygosity), order: Number(met.order) });
  }
  return found;
}

export function Genotyping() {
  const litter = place.value.query.get("litter") ?? "";
  const groups = useMemo(() => {
    const found = new Map<string, Row[]>();
    for (const each of living.value) if (each.to_be_genotyped) found.set(text(each.litter) || text(each.line), [...(found.get(text(each.litter) || text(each.line)) ?? []), each]);
    return found;
  }, [living.value]);
  if (litter) return <Results title={litter} mice={(pups.value.get(litter) ?? living.value.filter((each) => each.to_be_genotyped && text(each.line) === litter)).filter(lives)} />;
  return (
    <>
      <header class="page-head"><h1>Genotyping</h1></header>
      {groups.size ? (
        <ul class="rows">
          {[...groups].sort().map(([key, found]) => (
            <li key={key}>
              <a class="row-main" href={href("genotyping") + `?litter=${encodeURIComponent(key)}`}>
                <strong>{key}</strong> <span class="muted">{text(found[0]?.line)}</span><br />
                <span class="muted small">{found.length} to genotype · born {said(found[0]?.birth_date)} · {sequencesOf(lineOf(found[0])).join(", ") || "no sequences"}</span>
              </a>
            </li>
          ))}
        </ul>
      ) : <Empty title="Nothing to genotype">Animals flagged “to be genotyped” are listed here, by litter.</Empty>}
      <h2>Expected and observed</h2>
      <Ratios />
    </>
  );
}

function Results({ title, mice }: { title: string; mice: Row[] }) {
  const line = lineOf(mice[0]);
  const sequences = sequencesOf(line);
  const known = (nickname: string, sequence: string): Row | undefined => of(tests, nickname).find((each) => each.sequence === sequence);
  const start: Values = Object.fromEntries(mice.map((each) => [name(each), Object.fromEntries(sequences.map((one) => [one, text(known(name(each), one)?.test_result)]))]));
  const [typed, setTyped] = useState<Values>({});
  const now: Values = Object.fromEntries(mice.map((each) => [name(each), { ...start[name(each)], ...typed[name(each)] }]));
  const writes = mice.flatMap((mouse) =>
    sequences.flatMap((sequence) => {
      const value = read(now[name(mouse)]![sequence] ?? "");
      const old = known(name(mouse), sequence);
      if (value === text(old?.test_result)) return [];
      if (!value) return old ? [remove("genotype-tests", text(old.id))] : [];
      return old ? [update("genotype-tests", text(old.id), { test_result: value })] : [create("genotype-tests", { subject: name(mouse), sequence, test_result: value, date: today() })];
    }),
  );
  useEffect(() => document.querySelector<HTMLElement>(".cell.result")?.focus({ preventScroll: true }), [title]);
  const columns: Column[] = [
    { name: "ear", label: "Mark", show: (key) => text(row("subject", key)?.ear_mark) || "–" },
    ...sequences.map((each): Column => ({ name: each, label: each, type: "result", parse: read })),
    {
      name: "zygosity", label: "Zygosity",
      show: (key) => {
        const given = byRules(line, now[key] ?? {});
        const has = genotype(row("subject", key) ?? {});
        const shown = given.length ? given.map((each) => `${each.allele} ${each.zygosity}`).join(", ") : has.map((each) => `${each.allele} ${each.zygosity}`).join(", ");
        return <span class="name">{shown || <span class="muted">–</span>}{given.length > 0 && <span class="muted small"> rule {given.map((each) => each.order + 1).join(", ")}</span>}</span>;
      },
    },
  ];
  const done = new Set(writes.map((each) => text(each.body?.subject)));
  return (
    <>
      <header class="page-head"><div><p class="crumb"><a href={href("genotyping")}>Genotyping</a></p><h1>{title}</h1><p class="muted small">+ present, − absent, ⌫ not tested. Or paste from a spreadsheet.</p></div></header>
      {!sequences.length ? (
        <Empty title="This line has no sequences">Sequences belong to alleles, and alleles to lines. <a href={href("lists", "alleles")}>Alleles</a>, <a href={href("lists", "lines", text(line?.name))}>the line</a></Empty>
      ) : (
        <>
          <Grid caption={`Results of ${title}`} columns={columns} rows={mice.map((each) => ({ key: name(each), name: name(each), label: <a href={href("mouse", name(each))} tabIndex={-1}>{name(each)}</a> }))} values={now} onChange={setTyped} />
          <div class="save-bar">
            <span class="pad" role="group" aria-label="Result of the chosen cell">
              {([["+", "Present"], ["-", "Absent"], ["Backspace", "Not tested"]] as const).map(([key, label]) => (
                <button key={key} type="button" class="button" aria-label={label} onPointerDown={(event) => event.preventDefault()} onClick={() => press(key)}>{{ "+": "+", "-": "−", Backspace: "⌫" }[key]}</button>
              ))}
            </span>
            <div class="save-words muted small">{writes.length ? `${writes.length} results of ${done.size || ""} animals` : ""}</div>
            <button type="button" class="primary" disabled={!writes.length} onClick={() => void perform(`Genotyped ${done.size} of ${title}`, writes).then(() => setTyped({}))}>Save</button>
          </div>
        </>
      )}
    </>
  );
}

/** Press a key in the cell that has the focus, for phones whose keyboard is not shown. */
function press(key: string): void {
  const cell = document.activeElement?.matches(".cell.result") ? document.activeElement : document.querySelector(".cell.result");
  (cell as HTMLElement | null)?.focus();
  cell?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
}

/** Read a result as spreadsheets have it. */
export function read(said_: string): string {
  const value = said_.trim().toLowerCase();
  if (["+", "1", "present", "pos", "positive", "yes", "p"].includes(value)) return "present";
  if (["-", "−", "0", "absent", "neg", "negative", "no", "a"].includes(value)) return "absent";
  return "";
}

/** Probability of a split at least as uneven as this one, if each were as likely as `p`. */
export function binomial(k: number, n: number, p: number): number {
  const chances: number[] = [];
  for (let i = 0, c = (1 - p) ** n; i <= n; i++) {
    chances.push(c);
    c *= ((n - i) / (i + 1)) * (p / (1 - p));
  }
  const own = chances[k]!;
  return Math.min(1, chances.filter((each) => each <= own * (1 + 1e-9)).reduce((sum, each) => sum + each, 0));
}

function Ratios() {
  const found = rows("line").map((line) => {
    const theirs = rows("subject").filter((each) => each.line === line.name && each.litter && genotype(each).length);
    const carriers = theirs.filter((each) => genotype(each).some((one) => one.zygosity !== "−/−")).length;
    return { line: text(line.name), n: theirs.length, carriers };
  }).filter((each) => each.n > 0);
  if (!found.length) return <p class="muted small">No genotyped litters on this device.</p>;
  return (
    <div class="table-box" tabIndex={0} role="region" aria-label="Carriers of each line">
      <table class="table">
        <caption>Carriers among genotyped pups, against three in four (both parents heterozygous); exact binomial test</caption>
        <thead><tr><th scope="col">Line</th><th scope="col">Pups</th><th scope="col">Carriers</th><th scope="col">p</th></tr></thead>
        <tbody>{found.map((each) => <tr key={each.line}><th scope="row">{each.line}</th><td>{each.n}</td><td>{each.carriers}</td><td>{binomial(each.carriers, each.n, 0.75).toPrecision(2)}</td></tr>)}</tbody>
      </table>
    </div>
  );
}
