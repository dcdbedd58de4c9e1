// Weights and water of many animals on one screen, saved as one.
import { useEffect, useMemo, useState } from "preact/hooks";
import { called, num, type Row, text } from "../data/model.ts";
import { belowThreshold, cageMates, due, lastWeight, living, name, of, restricted, toWeigh, waterDue, waterings, weighedToday } from "../data/select.ts";
import { row } from "../data/store.ts";
import { day, saidTime, today } from "../data/time.ts";
import { create, perform } from "../data/undo.ts";
import { preview, status } from "../data/water.ts";
import { readNumber } from "../forms/field.tsx";
import { type Column, Grid, type Values } from "../grid/grid.tsx";
import { Empty } from "../parts/empty.tsx";
import { href, place } from "../parts/router.ts";

const WHICH: { key: string; label: string; rows: () => Row[] }[] = [
  { key: "", label: "Restricted", rows: () => restricted.value },
  { key: "weigh", label: "Not weighed today", rows: () => toWeigh.value },
  { key: "water", label: "Water due", rows: () => waterDue.value },
  { key: "low", label: "Below threshold", rows: () => belowThreshold.value },
  { key: "all", label: "All living", rows: () => living.value.slice().sort((a, b) => name(a).localeCompare(name(b))) },
];

export const USUAL = { low: 5, high: 60, change: 0.2 };
/** Grams between which, and the part of the last weight by which, a weight is taken without asking. */

/** Whether a weight should be looked at twice. */
export function unusual(weight: number, last: number | null): boolean {
  return weight < USUAL.low || weight > USUAL.high || (last !== null && Math.abs(weight - last) > USUAL.change * last);
}

function chosen(which: string): Row[] {
  if (which.startsWith("cage:")) return cageMates.value.get(which.slice(5)) ?? [];
  if (which.startsWith("mouse:")) return [row("subject", which.slice(6))].filter((each) => !!each);
  const found = (WHICH.find((each) => each.key === which) ?? WHICH[0]!).rows();
  // A lab without restricted animals weighs others.
  return !which && !found.length && living.value.length <= FEW ? WHICH.at(-1)!.rows() : found;
}

const FEW = 200;
/** Animals up to which all are listed where none is restricted. */

export function Weigh() {
  const which = place.value.query.get("which") ?? "";
  const [picked, setPicked] = useState(which);
  // The animals stay as they were when the screen was opened, though some get done meanwhile.
  const ready = living.value.length > 0;
  const mice = useMemo(() => chosen(picked), [picked, ready]);
  const [values, setValues] = useState<Values>({});
  const [asked, setAsked] = useState(false);

  useEffect(() => setPicked(which), [which]);
  useEffect(() => {
    const filled: Values = {};
    if (picked === "water") for (const each of mice) filled[name(each)] = { water: (due.value.get(name(each)) ?? 0).toFixed(2) };
    setValues(filled);
    setAsked(false);
    document.querySelector<HTMLElement>("main .grid input.cell")?.focus({ preventScroll: true });
  }, [picked, mice]);

  const weightOf = (key: string): number | null => {
    const found = readNumber(values[key]?.weight ?? "");
    return typeof found === "number" ? found : null;
  };
  const errors: Record<string, Record<string, string>> = {};
  for (const [key, each] of Object.entries(values))
    for (const column of ["weight", "water"]) {
      const found = readNumber(each[column] ?? "");
      if (typeof found === "string" || (typeof found === "number" && found < 0)) errors[key] = { ...errors[key], [column]: "Write a number." };
    }
  const odd = mice.filter((each) => {
    const weight = weightOf(name(each));
    return weight !== null && unusual(weight, num(lastWeight(name(each))?.weight));
  });
  const writes = mice.flatMap((mouse) => {
    const key = name(mouse);
    const at = new Date().toISOString();
    const weight = weightOf(key);
    const water = num(readNumber(values[key]?.water ?? ""));
    return [
      ...(weight !== null ? [create("weighings", { subject: key, date_time: at, weight, ...(odd.includes(mouse) ? { unusual: true } : {}) })] : []),
      ...(water ? [create("water-administrations", { subject: key, date_time: at, water_administered: water })] : []),
    ];
  });
  const weighed = writes.filter((each) => each.resource === "weighings").length;
  const watered = writes.length - weighed;
  const summary = [weighed && `Weighed ${weighed} ${weighed === 1 ? "mouse" : "mice"}`, watered && `Gave water to ${watered}`].filter(Boolean).join(", ");

  const save = async (): Promise<void> => {
    if (Object.keys(errors).length || !writes.length) return;
    if (odd.length && !asked) return setAsked(true);
    setValues({});
    setAsked(false);
    await perform(summary, writes);
  };

  const water = (key: string): string => {
    const known = status.value.get(key);
    const weight = weightOf(key);
    const given = of(waterings, key).filter((each) => day(each.date_time) === today()).reduce((sum, each) => sum + (num(each.water_administered) ?? 0), 0);
    if (known && weight !== null) return Math.max(0, preview(known, weight).need - given).toFixed(2);
    const left = due.value.get(key);
    return left ? left.toFixed(2) : "";
  };
  const columns: Column[] = [
    {
      name: "last", label: "Last",
      show: (key) => {
        const last = lastWeight(key);
        return last ? <span class="last">{text(last.weight)}<span class="muted small"> {weighedToday(key) ? "today" : saidTime(last.date_time).split(" ").slice(0, 2).join(" ")}</span></span> : <span class="muted">–</span>;
      },
    },
    { name: "weight", label: "Weight", unit: "g", type: "number" },
    {
      name: "pct", label: "%",
      show: (key) => {
        const known = status.value.get(key);
        const weight = weightOf(key);
        const found = weight === null && known ? { ...preview(known, known.weight), percentage: known.percentage || null } : preview(known, weight);
        return found.percentage === null ? <span class="muted">–</span> : <span class={`pct ${found.level} ${weight === null ? "old" : ""}`}>{found.percentage.toFixed(0)}</span>;
      },
    },
    { name: "water", label: "Water", unit: "ml", type: "number", placeholder: water },
  ];
  const cages = [...cageMates.value.keys()].sort();
  return (
    <>
      <header class="page-head">
        <div>
          <h1>Weigh & water</h1>
        </div>
        <label>
          <span class="visually-hidden">Which animals</span>
          <select class="input" value={picked} onChange={(event) => setPicked(event.currentTarget.value)}>
            {WHICH.map((each) => <option key={each.key} value={each.key}>{each.label}</option>)}
            {picked.startsWith("mouse:") && <option value={picked}>{picked.slice(6)}</option>}
            {cages.slice(0, 200).map((each) => <option key={each} value={`cage:${each}`}>Cage {each}</option>)}
          </select>
        </label>
      </header>
      {mice.length ? (
        <>
          <Grid
            caption="Weights and water"
            columns={columns}
            rows={mice.map((each) => ({
              key: name(each), name: name(each),
              label: <a href={href("mouse", name(each))} tabIndex={-1}>{called(name(each))}{each.ear_mark ? <span class="muted small"> {text(each.ear_mark)}</span> : null}</a>,
              tone: odd.includes(each) ? "odd" : preview(status.value.get(name(each)), weightOf(name(each))).level === "low" ? "low" : "",
            }))}
            values={values}
            onChange={(next) => { setValues(next); setAsked(false); }}
            errors={errors}
          />
          <div class="save-bar">
            <div class="save-words">
              {asked ? (
                <p class="warn-text" role="alert">Unusual: {odd.map((each) => `${name(each)} ${text(lastWeight(name(each))?.weight) || "–"} → ${values[name(each)]?.weight ?? ""} g`).join(", ")}. Right?</p>
              ) : (
                <p class="muted small">{summary || (picked === "water" ? "" : "Type weights; Enter or Next goes down.")}</p>
              )}
            </div>
            {picked !== "water" && (
              <button type="button" class="button" onClick={() => setValues(Object.fromEntries(mice.map((each) => [name(each), { ...values[name(each)], water: values[name(each)]?.water || water(name(each)) }])))}>Fill water</button>
            )}
            <button type="button" class="primary" disabled={!writes.length || Object.keys(errors).length > 0} onClick={() => void save()}>{asked ? "Save anyway" : "Save"}</button>
          </div>
        </>
      ) : (
        <Empty title={picked === "weigh" ? "All are weighed" : picked === "water" ? "No water is due" : "No animals here"}>
          {picked ? "Choose others above." : "Animals under water restriction are listed here. Start a restriction on an animal’s page, or choose “All living”."}
        </Empty>
      )}
    </>
  );
}
