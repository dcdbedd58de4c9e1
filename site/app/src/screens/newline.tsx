// A line with its alleles, sequences and rules, made in one go.
import { useState } from "preact/hooks";
import { field } from "../data/forms.ts";
import { type Row, text, uuid, type Write } from "../data/model.ts";
import { lab } from "../data/session.ts";
import { row } from "../data/store.ts";
import { create, perform } from "../data/undo.ts";
import { Field } from "../forms/field.tsx";
import { Grid, type Values } from "../grid/grid.tsx";
import { read as readResult } from "./genotyping.tsx";
import { go, href } from "../parts/router.ts";

const LINE = ["name", "nickname", "strain", "species", "source"];
const ROWS = Array.from({ length: 8 }, (_, i) => `rule ${i + 1}`);

/** Read a zygosity as people write it. */
export function readZygosity(said: string): number | null {
  const plain = said.replaceAll(/\s/g, "").replaceAll("−", "-").toLowerCase();
  const found: Record<string, number> = { "-/-": 0, "+/-": 1, "-/+": 1, "+/+": 2, "+": 3, "0": 0, "1": 1, "2": 2, "3": 3, absent: 0, wt: 0, het: 1, homo: 2, hom: 2, present: 3 };
  return found[plain] ?? null;
}

export function NewLine() {
  const [line, setLine] = useState<Row>({ name: "", nickname: "" });
  const [alleles, setAlleles] = useState<Values>({});
  const [rules, setRules] = useState<Values>({});
  const [errors, setErrors] = useState<Record<string, string[]>>({});
  const given = ["first", "second", "third"].map((key) => ({ key, nickname: (alleles[key]?.nickname ?? "").trim(), sequences: (alleles[key]?.sequences ?? "").split(/[,;]\s*/).map((each) => each.trim()).filter(Boolean) })).filter((each) => each.nickname);
  const sequences = [...new Set(given.flatMap((each) => each.sequences))];
  const wanted = ROWS.map((key) => rules[key] ?? {})
    .map((each) => ({ allele: each.allele?.trim() || given[0]?.nickname || "", sequence0: each.sequence0?.trim() ?? "", result0: readResult(each.result0 ?? ""), sequence1: each.sequence1?.trim() ?? "", result1: readResult(each.result1 ?? ""), zygosity: readZygosity(each.zygosity ?? "") }))
    .filter((each) => each.allele && each.sequence0 && each.result0 && each.zygosity !== null);
  const writes = (): Write[] => [
    ...sequences.filter((each) => !row("sequence", each)).map((name) => create("sequences", { name })),
    ...given.filter((each) => !row("allele", each.nickname)).map((each) => create("alleles", { nickname: each.nickname, sequences: each.sequences })),
    create("lines", { ...line, lab: lab.value, alleles: given.map((each) => each.nickname) }),
    ...wanted.map((each, order): Write => ({ op: "create", resource: "zygosity-rules", body: { id: uuid(), line: line.name, allele: each.allele, sequence0: each.sequence0, result0: each.result0, ...(each.sequence1 ? { sequence1: each.sequence1, result1: each.result1 || null } : {}), zygosity: each.zygosity, order } })),
  ];
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const wrong: Record<string, string[]> = {};
    for (const name of ["name", "nickname"]) if (!text(line[name]).trim()) wrong[name] = ["This field is required."];
    setErrors(wrong);
    if (Object.keys(wrong).length) return;
    await perform(`New line ${text(line.name)}`, writes());
    go(href("lists", "lines", text(line.name)));
  };
  return (
    <>
      <header class="page-head"><div><p class="crumb"><a href={href("lists", "lines")}>Lines</a></p><h1>New line</h1></div></header>
      <form class="form wide-form" onSubmit={(event) => void submit(event)}>
        <div class="bar">{LINE.map((each) => field("lines", each) && <Field key={each} field={field("lines", each)!} value={line[each]} errors={errors[each]} onChange={(value) => setLine({ ...line, [each]: value })} />)}</div>
        <h2>Alleles</h2>
        <Grid caption="Alleles" first="No." columns={[{ name: "nickname", label: "Allele" }, { name: "sequences", label: "Sequences, with commas", wide: true }]} rows={["first", "second", "third"].map((key) => ({ key, name: `${key} allele`, label: key }))} values={alleles} onChange={setAlleles} />
        <h2>Rules</h2>
        <p class="muted small">The first rule whose results are met gives the zygosity.</p>
        <Grid
          caption="Rules"
          first="No."
          columns={[
            { name: "allele", label: "Allele", placeholder: () => given[0]?.nickname ?? "" },
            { name: "sequence0", label: "Sequence", placeholder: () => sequences[0] ?? "" },
            { name: "result0", label: "Result", placeholder: () => "+ or −" },
            { name: "sequence1", label: "and sequence", placeholder: () => sequences[1] ?? "" },
            { name: "result1", label: "Result", placeholder: () => "+ or −" },
            { name: "zygosity", label: "Zygosity", placeholder: () => "+/−" },
          ]}
          rows={ROWS.map((key, i) => ({ key, name: key, label: String(i + 1) }))}
          values={rules}
          onChange={setRules}
        />
        <div class="form-end"><button class="primary">Save line, {given.length} alleles, {wanted.length} rules</button></div>
      </form>
    </>
  );
}
