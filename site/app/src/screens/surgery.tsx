// A surgery: procedures bring their template, whose fields fill the narrative.
import { useState } from "preact/hooks";
import { field } from "../data/forms.ts";
import { list, type Row, text, uuid } from "../data/model.ts";
import { lastWeight, name, surgeries } from "../data/select.ts";
import { lab, me } from "../data/session.ts";
import { row, rows } from "../data/store.ts";
import { addDays, nowWall, said, today } from "../data/time.ts";
import { create, perform } from "../data/undo.ts";
import { Field } from "../forms/field.tsx";
import { Photos } from "../forms/photo.tsx";
import { filled, TemplateFields } from "../forms/template.tsx";
import { List } from "../grid/list.tsx";
import { Empty } from "../parts/empty.tsx";
import { go, href, place } from "../parts/router.ts";
import { noteWrites } from "./actions.tsx";

const FIELDS = ["subject", "start_time", "end_time", "procedures", "location", "users", "outcome_type", "implant_weight"];

/** What the letters of an outcome mean. */
const OUTCOMES = "a: acute, r: recovery, n: non-recovery";

export const CHECK_DAYS = 3;
/** Days after a surgery on which the animal is looked at. */

export function Surgery() {
  const query = place.value.query;
  if (query.get("mouse") !== null || query.has("new")) return <NewSurgery mouse={query.get("mouse") ?? ""} />;
  const mine = [...surgeries.value.values()].flat().filter((each) => row("subject", each.subject)?.lab === lab.value);
  return (
    <>
      <header class="page-head"><h1>Surgery</h1><a class="primary" data-new href={href("surgery") + "?new"}>New surgery</a></header>
      <List
        label="Surgeries"
        rows={mine}
        keyOf={(each) => text(each.id)}
        order="-start_time"
        columns={[
          { name: "subject", label: "Mouse" },
          { name: "start_time", label: "When", show: (each) => said(each.start_time) },
          { name: "procedures", label: "Procedures", show: (each) => list(each.procedures).join(", ") },
          { name: "implant_weight", label: "Implant, g", minor: true },
          { name: "users", label: "By", show: (each) => list(each.users).join(", "), minor: true },
        ]}
        href={(each) => href("lists", "surgeries", text(each.id))}
        empty={<Empty title="No surgeries on this device">Start one with “New surgery”, or from an animal’s page.</Empty>}
      />
    </>
  );
}

function NewSurgery({ mouse }: { mouse: string }) {
  const [values, setValues] = useState<Row>(() => ({
    subject: mouse,
    start_time: nowWall().replace(" ", "T"),
    procedures: [],
    users: me.value ? [me.value.username] : [],
    location: rows("location").find((each) => each.lab === lab.value && /surgery/i.test(text(each.name)))?.name ?? null,
    outcome_type: "r",
    implant_weight: "",
    narrative: "",
  }));
  const [answers, setAnswers] = useState<Row>({});
  const [photos, setPhotos] = useState<{ id: string; url: string }[]>([]);
  const [errors, setErrors] = useState<Record<string, string[]>>({});
  const template = rows("template").find((each) => each.active !== false && each.lab === lab.value && list(values.procedures).includes(text(each.procedure)));
  const subject = row("subject", values.subject);
  const narrative = template ? filled(template, answers) : text(values.narrative);
  const set = (more: Row): void => setValues((now) => ({ ...now, ...more }));

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const wrong: Record<string, string[]> = {};
    if (!subject) wrong.subject = ["Which animal?"];
    if (values.implant_weight === "" || Number.isNaN(Number(values.implant_weight))) wrong.implant_weight = ["Give the weight of the implant; 0 without one."];
    setErrors(wrong);
    if (Object.keys(wrong).length) return;
    const id = uuid();
    const body: Row = { ...values, id, lab: lab.value, narrative, implant_weight: Number(values.implant_weight), ...(template ? { json: { template: template.title, values: answers } } : {}) };
    if (!body.end_time) delete body.end_time;
    const sent = photos.map((each) => each.id);
    const note = sent.length ? noteWrites("surgery", [id], "Surgery", sent) : [];
    await perform(`Surgery of ${text(values.subject)}`, [create("surgeries", body), ...note], { photos: sent });
    go(href("mouse", text(values.subject)));
  };

  return (
    <>
      <header class="page-head"><div><p class="crumb"><a href={href("surgery")}>Surgery</a></p><h1>New surgery</h1></div></header>
      <form class="form" onSubmit={(event) => void submit(event)}>
        {FIELDS.map((each) => {
          const made = field("surgeries", each);
          return made && (
            <Field key={each} field={each === "outcome_type" ? { ...made, help: OUTCOMES } : made} label={each === "subject" ? "Mouse" : undefined} value={values[each]} errors={errors[each]} onChange={(value) => set({ [each]: value })} />
          );
        })}
        {template ? (
          <fieldset class="form-group">
            <legend>{text(template.title)}</legend>
            <TemplateFields template={template} weight={Number(lastWeight(subject ? name(subject) : "")?.weight) || null} answers={answers} onChange={setAnswers} />
            <p class="preview" aria-label="Narrative">{narrative}</p>
          </fieldset>
        ) : (
          <Field field={field("surgeries", "narrative")!} value={values.narrative} onChange={(value) => set({ narrative: value })} />
        )}
        <Photos value={photos} onChange={setPhotos} many label="Pictures" />
        <p class="help">Look at the animal on {Array.from({ length: CHECK_DAYS }, (_, i) => said(addDays(today(), i + 1))).join(", ")}.</p>
        <div class="form-end"><button class="primary">Save</button></div>
      </form>
    </>
  );
}
