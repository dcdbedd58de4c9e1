// A lab's template of a narrative: fields, and the text that they fill.
import { type FieldForm, words } from "../data/forms.ts";
import { list, type Row, text } from "../data/model.ts";
import { Field } from "./field.tsx";

const fieldsOf = (template: Row): Row[] => (Array.isArray(template.fields) ? (template.fields as Row[]) : []);

/** Return the template's text with what was answered; what was not stays as a dash. */
export function filled(template: Row, answers: Row): string {
  return text(template.body).replaceAll(/\{(\w+)\}/g, (_, name: string) => text(answers[name]) || "–");
}

const TYPES: Record<string, FieldForm["type"]> = { number: "float", integer: "int", float: "float", int: "int", date: "date", choice: "choice", bool: "bool", flag: "bool" };

function asField(each: Row): FieldForm {
  return {
    name: text(each.name), type: TYPES[text(each.type)] ?? "text", label: words(text(each.name)), help: "", unit: text(each.unit), group: "", pattern: "",
    to: "", by: "name", many: false, required: false, null: true, read_only: false, default: null, fills_in: "", minimum: null, maximum: null,
    length: 255, earliest: "", latest: "", ahead: null, choices: list(each.choices), shape: "",
  };
}

interface Props {
  template: Row;
  weight: number | null;
  answers: Row;
  onChange: (answers: Row) => void;
}

export function TemplateFields({ template, weight, answers, onChange }: Props) {
  return (
    <>
      {fieldsOf(template).map((each) => {
        const made = asField(each);
        // A dose per weight is worked out for this animal, and said how.
        const perWeight = /^(.*)\/kg$/.exec(made.unit);
        const dose = perWeight && weight && answers[made.name] ? `${((Number(answers[made.name]) * weight) / 1000).toPrecision(3)} ${perWeight[1]} for ${weight} g` : "";
        return <Field key={made.name} field={{ ...made, help: dose }} value={answers[made.name]} onChange={(value) => onChange({ ...answers, [made.name]: value })} />;
      })}
    </>
  );
}
