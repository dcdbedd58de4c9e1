// A form made from a declaration: fields, checks, drafts, and the server's answers at the fields.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { db } from "../data/db.ts";
import { type FieldForm, form } from "../data/forms.ts";
import type { Row, Write } from "../data/model.ts";
import { text } from "../data/model.ts";
import { lab, me } from "../data/session.ts";
import { nowWall } from "../data/time.ts";
import { create, perform, update } from "../data/undo.ts";
import { Field, problems } from "./field.tsx";

const LATER = new Set(["json"]);
/** Fields that are shown only when all are asked for. */

/** Return the value that a new record has. */
export function initial(field: FieldForm): unknown {
  if (field.fills_in === "me") return field.many ? [me.value?.username] : me.value?.username;
  if (field.fills_in === "now") return field.type === "date" ? nowWall().slice(0, 10) : nowWall().replace(" ", "T");
  if (field.fills_in === "lab" || (field.to === "lab" && !field.many)) return lab.value || null;
  if (field.default !== null && field.default !== undefined) return field.default;
  return field.many ? [] : null;
}

/** Return a field's value as it is sent. */
export function sendable(field: FieldForm, value: unknown): unknown {
  if (value === "" && field.type !== "text") return null;
  if ((field.type === "int" || field.type === "float") && typeof value === "string") return Number(value.replace(",", "."));
  if (value === null && field.type === "text" && !field.null) return "";
  return value;
}

interface Props {
  path: string;
  /** Key and row of the record that is changed; without them a new one is made. */
  row?: Row;
  recordKey?: string;
  /** Values to begin with. */
  values?: Row;
  /** The fields to show, in order; all that can be written by default. */
  fields?: string[];
  labels?: Record<string, string>;
  keep?: Record<string, (row: Row) => boolean>;
  submit?: string;
  /** Draft of this name survives a reload. */
  draft?: string;
  /** What the deed is called, from the values. */
  what?: (values: Row) => string;
  /** Further writes of the same deed. */
  also?: (values: Row, record: Row) => Write[];
  onDone?: (values: Row, key: string) => void;
  onCancel?: () => void;
  /** Sent instead of the plain write. */
  save?: (values: Row) => Promise<void>;
  children?: (values: Row, set: (more: Row) => void) => ComponentChildren;
}

export function Form(props: Props) {
  const made = form(props.path);
  const editable = made.fields.filter((each) => !each.read_only);
  const [all, setAll] = useState(false);
  const wanted = props.fields
    ? props.fields.map((name) => made.fields.find((each) => each.name === name)).filter((each) => !!each)
    : editable.filter((each) => all || !LATER.has(each.name));
  const start = (): Row => {
    const found: Row = {};
    for (const each of wanted) found[each.name] = props.row ? (props.row[each.name] ?? (each.many ? [] : null)) : initial(each);
    return { ...found, ...props.values };
  };
  const [values, setValues] = useState<Row>(start);
  const [errors, setErrors] = useState<Record<string, string[]>>({});
  const [busy, setBusy] = useState(false);
  const box = useRef<HTMLFormElement>(null);

  useEffect(() => {
    if (!props.draft) return;
    let live = true;
    void db()
      .then((d) => d.get("drafts", props.draft!))
      .then((found) => live && found && setValues((now) => ({ ...now, ...found.values })));
    return () => void (live = false);
  }, [props.draft]);

  useEffect(() => {
    const first = box.current?.querySelector<HTMLElement>("[data-autofocus], input:not([type=checkbox]), textarea, select");
    first?.focus();
  }, []);

  const set = (more: Row): void => {
    setValues((now) => {
      const next = { ...now, ...more };
      if (props.draft) void db().then((d) => d.put("drafts", { at: new Date().toISOString(), values: next }, props.draft!));
      return next;
    });
  };

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const found: Record<string, string[]> = {};
    for (const each of wanted) {
      const wrong = problems(each, values[each.name]);
      if (wrong.length) found[each.name] = wrong;
    }
    setErrors(found);
    const bad = Object.keys(found)[0];
    if (bad) {
      box.current?.querySelector<HTMLElement>(`[data-field="${bad}"] :is(input,textarea,select,button)`)?.focus();
      return;
    }
    setBusy(true);
    const body: Row = {};
    for (const each of wanted) {
      const value = sendable(each, values[each.name]);
      const same = props.row && alike(value, props.row[each.name]);
      if (!same && (props.row || (value !== null && value !== ""))) body[each.name] = value;
    }
    for (const [name, value] of Object.entries(values)) if (!(name in body) && !wanted.some((f) => f.name === name)) body[name] = value;
    if (props.save) await props.save(body);
    const key = props.save ? "" : await write(body);
    if (props.draft) await (await db()).delete("drafts", props.draft);
    setBusy(false);
    props.onDone?.(body, key);
  };

  const write = async (body: Row): Promise<string> => {
    const change = props.recordKey !== undefined;
    if (change && !Object.keys(body).length) return props.recordKey!;
    const one = change ? update(props.path, props.recordKey!, body) : create(props.path, body);
    const key = props.recordKey ?? text(one.body?.[made.key]);
    const what = props.what?.({ ...props.row, ...values }) ?? `${change ? "Changed" : "Added"} ${made.singular.toLowerCase()} ${change ? key : ""}`.trim();
    await perform(what, [one, ...(props.also?.(values, one.body ?? {}) ?? [])]);
    return key;
  };

  return (
    <form ref={box} class="form" onSubmit={(event) => void submit(event)} noValidate>
      {groups(wanted).map(([name, fields]) => (
        <fieldset key={name} class="form-group">
          {name && <legend>{name}</legend>}
          {fields.map((each) => (
            <Field
              key={each.name}
              field={each}
              label={props.labels?.[each.name]}
              value={values[each.name]}
              keep={props.keep?.[each.name]}
              errors={errors[each.name]}
              onChange={(value) => set({ [each.name]: value })}
            />
          ))}
        </fieldset>
      ))}
      {props.children?.(values, set)}
      {!props.fields && editable.some((each) => LATER.has(each.name)) && !all && (
        <button type="button" class="quiet" onClick={() => setAll(true)}>All fields</button>
      )}
      <div class="form-end">
        {props.onCancel && <button type="button" class="button" onClick={props.onCancel}>Cancel</button>}
        <button class="primary" disabled={busy}>{props.submit ?? "Save"}</button>
      </div>
    </form>
  );
}

const bare = (value: unknown): unknown => (value === "" || value === undefined || (Array.isArray(value) && !value.length) ? null : value);

/** Whether two values are the same to a person: none is none, however it is written. */
const alike = (a: unknown, b: unknown): boolean => JSON.stringify(bare(a)) === JSON.stringify(bare(b));

function groups(fields: FieldForm[]): [string, FieldForm[]][] {
  const found = new Map<string, FieldForm[]>();
  for (const each of fields) found.set(each.group, [...(found.get(each.group) ?? []), each]);
  return [...found];
}
