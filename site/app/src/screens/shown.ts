// Values of records as people read them.
import { type FieldForm, kinds } from "../data/forms.ts";
import { list, text } from "../data/model.ts";
import { table } from "../data/store.ts";
import { said, saidTime } from "../data/time.ts";

/** Return a value as people read it. */
export function shown(field: FieldForm, value: unknown): string {
  if (value === null || value === undefined || value === "" || (Array.isArray(value) && !value.length)) return "";
  if (field.type === "bool") return value ? "yes" : "no";
  if (field.type === "date") return said(value);
  if (field.type === "datetime") return saidTime(value);
  if (field.type === "json") return JSON.stringify(value).slice(0, 80);
  if (field.type === "ref") return (field.many ? list(value) : [text(value)]).map((each) => named(field, each)).join(", ");
  return text(value);
}

function named(field: FieldForm, key: string): string {
  const made = kinds.get(field.to);
  const found = made && table(field.to).get(key);
  return found && made.title !== made.key ? text(found[made.title]) || key : key;
}

