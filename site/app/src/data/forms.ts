// The declarations of the API, as `python -m functions.api.forms` writes them.
import { signal } from "@preact/signals";
import { called } from "./model.ts";
import address from "../../generated/forms.json";

export type FieldType =
  "text" | "int" | "float" | "floats" | "bool" | "date" | "datetime" | "uuid" | "json" | "choice" | "ref";

export interface FieldForm {
  name: string;
  type: FieldType;
  label: string;
  help: string;
  unit: string;
  group: string;
  pattern: string;
  to: string;
  by: string;
  many: boolean;
  required: boolean;
  null: boolean;
  read_only: boolean;
  default: unknown;
  fills_in: "" | "me" | "now" | "lab";
  minimum: number | null;
  maximum: number | null;
  length: number | null;
  earliest: string;
  latest: string;
  ahead: number | null;
  choices: string[];
  shape: string;
}

export interface ResourceForm {
  path: string;
  kind: string;
  key: string;
  label: string;
  singular: string;
  title: string;
  /** What notes and signatures call its kind. */
  model: string;
  lab: string;
  many: boolean;
  /** Action to the least role. */
  actions: Record<string, string>;
  fields: FieldForm[];
}

export const resources = new Map<string, ResourceForm>();
export const kinds = new Map<string, ResourceForm>();
export const formsHash = signal("");

const MISSING: FieldForm = {
  name: "",
  type: "text",
  label: "",
  help: "",
  unit: "",
  group: "",
  pattern: "",
  to: "",
  by: "name",
  many: false,
  required: false,
  null: true,
  read_only: false,
  default: undefined,
  fills_in: "",
  minimum: null,
  maximum: null,
  length: null,
  earliest: "",
  latest: "",
  ahead: null,
  choices: [],
  shape: "",
};

type WrittenField = Partial<FieldForm> & Pick<FieldForm, "name" | "type" | "label">;

type WrittenResource = Partial<ResourceForm> &
  Pick<ResourceForm, "path" | "kind" | "key" | "label" | "singular" | "title" | "model" | "actions"> & { fields: WrittenField[] };

export interface Written {
  hash: string;
  resources: WrittenResource[];
}

/** Read the declarations from the app's own files. */
export async function loadForms(): Promise<void> {
  const answer = await fetch(address);
  fill((await answer.json()) as Written);
}

export function fill(written: Written): void {
  formsHash.value = written.hash;
  resources.clear();
  kinds.clear();
  for (const each of written.resources) {
    const fields = each.fields.map((one): FieldForm => ({ ...MISSING, ...one }));
    const made: ResourceForm = { lab: "", many: false, ...each, fields };
    resources.set(each.path, made);
    kinds.set(each.kind, made);
  }
}

/** Return a name in words: `birth_date` is "Birth date". */
export function words(name: string): string {
  const said = name.replaceAll(/[_-]/g, " ");
  return said.charAt(0).toUpperCase() + said.slice(1);
}

export function form(path: string): ResourceForm {
  const found = resources.get(path);
  if (!found) throw new Error(`forms.json has no resource ${path}`);
  return found;
}

export const field = (path: string, name: string): FieldForm | undefined =>
  resources.get(path)?.fields.find((each) => each.name === name);

/** Return how a record is called where another one names it. */
export function title(kind: string, row: Record<string, unknown> | undefined, key: string): string {
  const named = row?.[kinds.get(kind)?.title ?? ""];
  const found = named ? String(named) : key;
  return kind === "subject" ? called(found) : found;
}
