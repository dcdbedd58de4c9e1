// All animals of the lab, with what may be done with many at once.
import { useMemo } from "preact/hooks";
import { called, list, type Row, text } from "../data/model.ts";
import { cageOf, genotypeText, lastWeight, lives, mice, name, negative, openRestriction } from "../data/select.ts";
import { lab, me } from "../data/session.ts";
import { row, rows } from "../data/store.ts";
import { age, said } from "../data/time.ts";
import { status } from "../data/water.ts";
import { Form } from "../forms/form.tsx";
import { type Facet, List, type Shown } from "../grid/list.tsx";
import { lookOf, Views } from "../grid/views.tsx";
import { Empty } from "../parts/empty.tsx";
import { go, href, place } from "../parts/router.ts";
import { closeSheet, openSheet } from "../parts/sheet.tsx";
import { ACTIONS, may, runAction } from "./actions.tsx";

const COLUMNS: Shown[] = [
  { name: "nickname", label: "Name", show: (m) => called(name(m)) },
  { name: "sex", label: "Sex" },
  { name: "birth_date", label: "Age", show: (m) => age(m.birth_date, m.death_date), value: (m) => text(m.birth_date) },
  { name: "weight", label: "Weight", show: (m) => <Weight mouse={m} />, value: (m) => Number(lastWeight(name(m))?.weight ?? 0) },
  { name: "cage", label: "Cage", show: cageOf, value: cageOf },
  { name: "line", label: "Line", minor: true },
  { name: "genotype", label: "Genotype", show: genotypeText, value: genotypeText, minor: true },
  { name: "responsible_user", label: "Responsible", minor: true },
  { name: "litter", label: "Litter", minor: true },
  { name: "ear_mark", label: "Ear mark", minor: true },
  { name: "birth_date_", label: "Born", show: (m) => said(m.birth_date), value: (m) => text(m.birth_date), extra: true },
  { name: "protocol_number", label: "Protocol", extra: true },
  { name: "actual_severity", label: "Severity", extra: true },
  { name: "tags", label: "Tags", show: tagsOf, value: tagsOf, extra: true },
  { name: "description", label: "Description", extra: true },
];

/** Tags of an animal, in the order of their names. */
function tagsOf(mouse: Row): string {
  return rows("subject-tag").filter((each) => list(each.subjects).includes(name(mouse))).map((each) => text(each.name)).sort().join(", ");
}

function Weight({ mouse }: { mouse: Row }) {
  const last = lastWeight(name(mouse));
  const known = status.value.get(name(mouse));
  if (!last) return <span class="muted">–</span>;
  const low = known && known.percentage > 0 && known.percentage < known.min_percentage;
  return (
    <span>
      {text(last.weight)}
      {known && known.percentage > 0 && <span class={`pct small ${low ? "low" : ""}`}> {known.percentage.toFixed(0)} %</span>}
    </span>
  );
}

export function newMouse(): void {
  openSheet("New animal", () => (
    <Form
      path="subjects"
      fields={["nickname", "line", "sex", "birth_date", "responsible_user", "lab", "projects", "ear_mark", "strain", "source", "description"]}
      labels={{ nickname: "Name (“-” with a line: automatic)" }}
      draft="new-mouse"
      onCancel={closeSheet}
      what={(values) => `Added ${text(values.nickname)}`}
      onDone={(values) => {
        closeSheet();
        if (text(values.nickname) !== "-") go(href("mouse", text(values.nickname)));
      }}
    />
  ));
}

export function Mice() {
  const all = mice.value;
  const query = place.value.query;
  const tags = rows("subject-tag").filter((each) => each.lab === lab.value);
  const tagged = tags.map((each) => `${text(each.name)} ${list(each.subjects).join()}`).join("\n");
  const facets = useMemo((): Facet[] => {
    const of = (field: string): { key: string; label: string }[] =>
      [...new Set(all.map((each) => text(each[field])))].filter(Boolean).sort().map((key) => ({ key, label: key }));
    const inTag = new Map(tags.map((each) => [text(each.name), new Set(list(each.subjects))]));
    const stock = new Set(rows("user").filter((each) => each.is_stock_manager).map((each) => text(each.username)));
    return [
      { name: "alive", label: "Alive", initial: "yes", options: [{ key: "yes", label: "Alive" }, { key: "no", label: "Dead" }], keep: (m, key) => lives(m) === (key === "yes") },
      {
        name: "whose", label: "Whose", options: [{ key: "me", label: "Mine" }, { key: "stock", label: "Stock" }, { key: "used", label: "Not stock" }],
        keep: (m, key) => (key === "me" ? m.responsible_user === me.value?.username : stock.has(text(m.responsible_user)) === (key === "stock")),
      },
      {
        name: "todo", label: "To do", options: [{ key: "genotype", label: "To genotype" }, { key: "cull", label: "To cull" }, { key: "reduce", label: "To reduce" }, { key: "restricted", label: "Restricted" }],
        keep: (m, key) => (key === "genotype" ? !!m.to_be_genotyped : key === "cull" ? !!m.to_be_culled : key === "restricted" ? !!openRestriction(name(m)) : !lives(m) && !m.reduced_date),
      },
      { name: "line", label: "Line", options: of("line"), keep: (m, key) => text(m.line) === key },
      { name: "zygosity", label: "Genotype", options: [{ key: "negative", label: "All negative" }, { key: "carrier", label: "Carrier" }, { key: "unknown", label: "Unknown" }], keep: (m, key) => (key === "unknown" ? !genotypeText(m) : negative(m) === (key === "negative") && !!genotypeText(m)) },
      { name: "tag", label: "Tag", options: tags.map((each) => text(each.name)).sort().map((key) => ({ key, label: key })), keep: (m, key) => inTag.get(key)?.has(name(m)) ?? false },
    ];
  }, [all, tagged]);
  const open = query.get("view") ?? "";
  const view = row("view", open);
  const initial: Record<string, string> = query.get("view") === "restricted" ? { todo: "restricted" } : {};
  if (query.get("tag")) initial.tag = query.get("tag")!;
  return (
    <>
      <header class="page-head">
        <h1>Mice</h1>
        <button type="button" class="primary" data-new onClick={newMouse}>New</button>
      </header>
      <List
        key={open}
        label="Mice"
        start={view && lookOf(view)}
        tools={(look, set) => <Views screen="mice" columns={COLUMNS} look={look} set={set} open={open} />}
        rows={all}
        keyOf={name}
        columns={COLUMNS}
        facets={facets}
        initial={initial}
        href={(m) => href("mouse", name(m))}
        empty={all.length ? <Empty title="No animals found">Change what is looked for, or add one with “New”.</Empty> : <Empty title="No animals yet">Add the first with “New”; a line with alleles and rules is best made before, in <a href={href("new-line")}>New line</a>.</Empty>}
        bulk={(keys, clear) => <Bulk keys={keys} clear={clear} />}
      />
    </>
  );
}

/** What may be done with the chosen animals. */
export function Bulk({ keys, clear }: { keys: string[]; clear: () => void }) {
  const chosen = keys.map((each) => row("subject", each)).filter((each) => !!each);
  return (
    <>
      {ACTIONS.filter((each) => !each.single && chosen.some((mouse) => may(each, mouse))).map((each) => (
        <button key={each.name} type="button" class="button" onClick={() => { runAction(each, chosen.filter((mouse) => may(each, mouse))); clear(); }}>{each.label}</button>
      ))}
      <a class="button" href={href("cards") + `?mice=${encodeURIComponent(keys.join(","))}`}>Cards</a>
      <button type="button" class="button" onClick={() => download(chosen)}>Export</button>
    </>
  );
}

/** Save the chosen animals as a table. */
export function download(chosen: Row[]): void {
  const columns = ["nickname", "sex", "birth_date", "death_date", "line", "litter", "cage", "responsible_user", "ear_mark", "genotype", "weight"];
  const cell = (row: Row, name_: string): string =>
    name_ === "cage" ? cageOf(row) : name_ === "genotype" ? genotypeText(row) : name_ === "weight" ? text(lastWeight(name(row))?.weight) : text(row[name_]);
  // A cell that begins like a formula is one in a spreadsheet.
  const safe = (value: string): string => `"${(/^[=+@\t-]/.test(value) ? "'" : "") + value.replaceAll('"', '""')}"`;
  const lines = [columns.join(","), ...chosen.map((each) => columns.map((one) => safe(cell(each, one))).join(","))];
  save(new Blob([lines.join("\r\n")], { type: "text/csv" }), `mice-${said(new Date().toISOString()).replaceAll(" ", "-")}.csv`);
}

export function save(blob: Blob, file: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
