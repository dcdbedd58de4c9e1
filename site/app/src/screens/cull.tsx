// Many animals culled in one go, each with method, reason and severity.
import { useEffect, useMemo, useState } from "preact/hooks";
import { field } from "../data/forms.ts";
import { type Row, text } from "../data/model.ts";
import { genotypeText, living, name, negative, toCull, toReduce } from "../data/select.ts";
import { me } from "../data/session.ts";
import { row, rows } from "../data/store.ts";
import { age, today } from "../data/time.ts";
import { create, perform, update } from "../data/undo.ts";
import { Field } from "../forms/field.tsx";
import { type Column, Grid, type Values } from "../grid/grid.tsx";
import { Empty } from "../parts/empty.tsx";
import { href, place } from "../parts/router.ts";
import { died, lastCull } from "./actions.tsx";

const COMMON = { reason: "cull_reason", method: "cull_method", severity: "severity" } as const;
export function Cull() {
  const which = place.value.query.get("which") ?? "flagged";
  return (
    <>
      <header class="page-head"><h1>Cull</h1></header>
      <div class="segments" role="group" aria-label="Which animals">
        {([["flagged", `Flagged (${toCull.value.length})`], ["negative", "Negatives"], ["reduce", `To reduce (${toReduce.value.length})`]] as const).map(([key, label]) => (
          <a key={key} class="segment" href={href("cull") + `?which=${key}`} aria-current={which === key ? "true" : undefined}>{label}</a>
        ))}
      </div>
      {which === "reduce" ? <Reduce /> : <Culling key={which} which={which} />}
    </>
  );
}

function Culling({ which }: { which: string }) {
  const [line, setLine] = useState("");
  const candidates = which === "negative" ? living.value.filter(negative) : toCull.value;
  const lines = [...new Set(candidates.map((each) => text(each.line)))].filter(Boolean).sort();
  const found = useMemo(() => candidates.filter((each) => !line || each.line === line).sort((a, b) => name(a).localeCompare(name(b))).slice(0, 200), [candidates, line]);
  const [values, setValues] = useState<Values>({});
  const [date, setDate] = useState(today());
  const [all, setAll] = useState(() => ({ reason: text(lastCull.value.cull_reason), method: text(lastCull.value.cull_method), severity: text(lastCull.value.severity) }));
  useEffect(() => setValues((now) => Object.fromEntries(found.map((each) => [name(each), { cull: which === "flagged" ? "yes" : "", ...now[name(each)] }]))), [found]);
  const severities = field("culls", "severity")?.choices ?? [];
  const choices = (kind: string): { key: string; label: string }[] => rows(kind).map((each) => ({ key: text(each.name), label: text(each.name) }));
  const columns: Column[] = [
    { name: "cull", label: "Cull", type: "check" },
    { name: "about", label: "About", show: (key) => <About mouse={row("subject", key)} /> },
    { name: "reason", label: "Reason", type: "choice", choices: choices("cull-reason"), wide: true, minor: true },
    { name: "method", label: "Method", type: "choice", choices: choices("cull-method"), wide: true, minor: true },
    { name: "severity", label: "Severity", type: "choice", choices: severities.map((key) => ({ key, label: key })), wide: true, minor: true },
    { name: "note", label: "Note", wide: true, minor: true },
  ];
  const chosen = found.filter((each) => values[name(each)]?.cull === "yes");
  const of = (mouse: Row, column: "reason" | "method" | "severity"): string => values[name(mouse)]?.[column] || all[column];
  const missing = chosen.filter((each) => !of(each, "severity"));
  const save = async (): Promise<void> => {
    lastCull.value = { cull_reason: all.reason || null, cull_method: all.method || null, severity: all.severity || null };
    const writes = chosen.map((each) => create("culls", { subject: name(each), date, user: me.value?.username, cull_reason: of(each, "reason") || null, cull_method: of(each, "method") || null, severity: of(each, "severity"), description: values[name(each)]?.note ?? "" }));
    await perform(`Culled ${chosen.length} ${chosen.length === 1 ? "mouse" : "mice"}`, writes, { shows: died(chosen, date) });
  };
  const one = (column: keyof typeof COMMON) => {
    const made = field("culls", COMMON[column]);
    return made && <Field key={column} field={made} value={all[column] || null} onChange={(value) => setAll({ ...all, [column]: text(value) })} />;
  };
  if (!candidates.length)
    return <Empty title={which === "negative" ? "No negatives" : "No animal is flagged"}>{which === "negative" ? "Living animals whose alleles are all absent are listed here." : "Flag animals in Mice or on an animal’s page."}</Empty>;
  return (
    <>
      <div class="bar">
        {lines.length > 1 && (
          <label class="field">
            <span class="label">Line</span>
            <select class="input" value={line} onChange={(event) => setLine(event.currentTarget.value)}>
              <option value="">All</option>
              {lines.map((each) => <option key={each} value={each}>{each}</option>)}
            </select>
          </label>
        )}
        <label class="field"><span class="label">Date</span><input class="input" type="date" max={today()} value={date} onChange={(event) => setDate(event.currentTarget.value || today())} /></label>
      </div>
      <div class="form">{one("reason")}{one("method")}{one("severity")}</div>
      {found.length ? (
        <>
          <Grid caption="Animals to cull" columns={columns} rows={found.map((each) => ({ key: name(each), name: name(each), label: <a href={href("mouse", name(each))} tabIndex={-1}>{name(each)}</a> }))} values={values} onChange={setValues} />
          <div class="save-bar">
            <div class="save-words small">{missing.length > 0 && chosen.length > 0 ? <span class="warn-text">Choose a severity.</span> : <span class="muted">What is empty in a row is taken from above.</span>}</div>
            <button type="button" class="button" onClick={() => setValues(Object.fromEntries(found.map((each) => [name(each), { ...values[name(each)], cull: chosen.length === found.length ? "" : "yes" }])))}>{chosen.length === found.length ? "None" : "All"}</button>
            <button type="button" class="primary" disabled={!chosen.length || missing.length > 0} onClick={() => void save()}>Cull {chosen.length || ""}</button>
          </div>
        </>
      ) : null}
    </>
  );
}

function About({ mouse }: { mouse: Row | undefined }) {
  if (!mouse) return null;
  return <span class="small name">{text(mouse.sex)} {age(mouse.birth_date)} <span class="muted">{genotypeText(mouse) || text(mouse.line)}</span></span>;
}

function Reduce() {
  const found = toReduce.value;
  if (!found.length) return <Empty title="Nothing to reduce">Dead animals without a reduced date are listed here.</Empty>;
  return (
    <>
      <ul class="rows">{found.map((each) => <li key={name(each)}><a class="row-main" href={href("mouse", name(each))}><strong>{name(each)}</strong> <span class="muted small">died {text(each.death_date)}</span></a></li>)}</ul>
      <div class="save-bar"><span class="save-words" /><button type="button" class="primary" onClick={() => void perform(`Reduced ${found.length} animals`, found.map((each) => update("subjects", name(each), { reduced_date: today() })))}>Reduced today: {found.length}</button></div>
    </>
  );
}
