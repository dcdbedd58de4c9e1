// One editor for each type of a field.
import { useId } from "preact/hooks";
import type { FieldForm } from "../data/forms.ts";
import { list, type Row, text } from "../data/model.ts";
import { rows } from "../data/store.ts";
import { nowWall, today, wall } from "../data/time.ts";
import { Chips, Picker } from "./picker.tsx";

interface Props {
  field: FieldForm;
  value: unknown;
  onChange: (value: unknown) => void;
  errors?: string[];
  keep?: (row: Row) => boolean;
  /** What to call it here. */
  label?: string;
}

const BUTTONS = 5;
/** Choices up to which all are shown as buttons. */

/** Lists of words that a lab chooses from again and again. */
const WORDS = new Set(["cull-reason", "cull-method", "water-type"]);

/** Return what is shown as buttons for a field: its choices, or a list of words, where they are few. */
export function wordsOf(field: FieldForm): string[] {
  if (field.type === "choice") return field.choices.length <= BUTTONS ? field.choices : [];
  if (field.type !== "ref" || field.many || !WORDS.has(field.to)) return [];
  const found = rows(field.to).map((each) => text(each.name)).sort();
  return found.length <= BUTTONS + 3 ? found : [];
}

interface ButtonsProps {
  labelledBy: string;
  described?: string;
  choices: string[];
  value: unknown;
  onChange: (value: string | null) => void;
  /** Whether the chosen one can be given up. */
  empty?: boolean;
}

export function Buttons({ labelledBy, described, choices, value, onChange, empty }: ButtonsProps) {
  return (
    <div class="choices" role="radiogroup" aria-labelledby={labelledBy} aria-describedby={described}>
      {choices.map((each) => (
        <button key={each} type="button" role="radio" class="choice" aria-checked={value === each} onClick={() => onChange(value === each && empty ? null : each)}>
          {each}
        </button>
      ))}
    </div>
  );
}

/** Read a number as people write it: with a comma or a point. */
export function readNumber(said: string): number | null | string {
  const plain = said.trim().replace(",", ".");
  if (!plain) return null;
  const found = Number(plain);
  return Number.isFinite(found) ? found : said;
}

export function Field(props: Props) {
  const { field, errors } = props;
  const id = useId();
  const told = errors?.length ? `${id}-error` : undefined;
  const note = field.help ? `${id}-help` : undefined;
  const described = [told, note].filter(Boolean).join(" ") || undefined;
  const few = wordsOf(field);
  const group = few.length > 0;
  const label = props.label ?? field.label;
  const caption = (
    <>
      {label}
      {field.unit && <span class="muted"> ({field.unit})</span>}
      {field.required && <span class="required" title="required"> *</span>}
    </>
  );
  return (
    <div class={`field field-${field.type}`} data-field={field.name}>
      {group ? (
        <span class="label" id={`${id}-label`}>{caption}</span>
      ) : (
        <label class="label" for={id}>{caption}</label>
      )}
      <Editor {...props} id={id} described={described} invalid={!!told} />
      {note && <p class="help" id={note}>{field.help}</p>}
      {told && <p class="error" id={told} role="alert">{errors!.join(" ")}</p>}
    </div>
  );
}

interface EditorProps extends Props {
  id: string;
  described?: string;
  invalid: boolean;
}

function Editor({ field, value, onChange, id, described, invalid, keep }: EditorProps) {
  const common = { id, "aria-describedby": described, "aria-invalid": invalid || undefined, required: field.required };
  switch (field.type) {
    case "bool":
      return (
        <input
          {...common}
          required={false}
          type="checkbox"
          class="switch"
          role="switch"
          checked={!!value}
          onChange={(event) => onChange(event.currentTarget.checked)}
        />
      );
    case "choice":
      return field.choices.length <= BUTTONS ? (
        <Buttons labelledBy={`${id}-label`} described={described} choices={field.choices} value={value} onChange={onChange} empty={field.null} />
      ) : (
        <select {...common} class="input" value={text(value)} onChange={(event) => onChange(event.currentTarget.value || null)}>
          <option value="">–</option>
          {field.choices.map((each) => (
            <option key={each} value={each}>{each}</option>
          ))}
        </select>
      );
    case "ref":
      if (wordsOf(field).length)
        return <Buttons labelledBy={`${id}-label`} described={described} choices={wordsOf(field)} value={value} onChange={onChange} empty={field.null} />;
      return field.many ? (
        <Chips {...common} kind={field.to} by={field.by} value={list(value)} onChange={onChange} keep={keep} describedBy={described} />
      ) : (
        <Picker
          {...common}
          kind={field.to}
          by={field.by}
          value={text(value)}
          onPick={(key) => onChange(key || (field.null ? null : ""))}
          keep={keep}
          invalid={invalid}
          describedBy={described}
        />
      );
    case "date":
    case "datetime":
      return <When {...common} type={field.type} value={value} onChange={onChange} />;
    case "int":
    case "float":
      return (
        <input
          {...common}
          class="input number"
          inputMode={field.type === "int" ? "numeric" : "decimal"}
          autocomplete="off"
          enterkeyhint="next"
          value={text(value)}
          onInput={(event) => onChange(event.currentTarget.value)}
          onChange={(event) => onChange(readNumber(event.currentTarget.value))}
        />
      );
    case "floats":
      return (
        <input
          {...common}
          class="input"
          value={Array.isArray(value) ? value.join(", ") : text(value)}
          placeholder="1.5, 2, 3"
          onChange={(event) =>
            onChange(event.currentTarget.value.split(/[;,\s]+/).filter(Boolean).map((each) => readNumber(each)))
          }
        />
      );
    case "json":
      return <Json {...common} value={value} onChange={onChange} />;
    default:
      return field.length ? (
        <input
          {...common}
          class="input"
          autocomplete="off"
          maxLength={field.length}
          value={text(value)}
          onInput={(event) => onChange(event.currentTarget.value)}
        />
      ) : (
        <textarea
          {...common}
          class="input"
          rows={Math.min(12, Math.max(2, text(value).split("\n").length))}
          value={text(value)}
          onInput={(event) => onChange(event.currentTarget.value)}
        />
      );
  }
}

type WhenProps = {
  id: string;
  type: "date" | "datetime";
  value: unknown;
  onChange: (value: unknown) => void;
  required: boolean;
};

function When({ type, value, onChange, ...rest }: WhenProps) {
  const shown = type === "date" ? text(value).slice(0, 10) : wall(value).replace(" ", "T");
  const now = (): unknown => (type === "date" ? today() : nowWall().replace(" ", "T"));
  return (
    <div class="when">
      <input
        {...rest}
        class="input"
        type={type === "date" ? "date" : "datetime-local"}
        value={shown}
        onChange={(event) => onChange(event.currentTarget.value || null)}
      />
      <button type="button" class="quiet" onClick={() => onChange(now())}>
        {type === "date" ? "Today" : "Now"}
      </button>
    </div>
  );
}

function Json({ value, onChange, ...rest }: { id: string; value: unknown; onChange: (value: unknown) => void; required: boolean }) {
  const shown = typeof value === "string" ? value : value === null || value === undefined ? "" : JSON.stringify(value, null, 1);
  return (
    <textarea
      {...rest}
      class="input code"
      rows={Math.min(10, Math.max(2, shown.split("\n").length))}
      spellcheck={false}
      value={shown}
      onChange={(event) => {
        const said = event.currentTarget.value.trim();
        try {
          onChange(said ? JSON.parse(said) : null);
        } catch {
          onChange(said);
        }
      }}
    />
  );
}

/** Return what is wrong with a value by its declaration, before it is sent. */
export function problems(field: FieldForm, value: unknown): string[] {
  const missing = value === null || value === undefined || value === "" || (Array.isArray(value) && !value.length);
  if (missing) return field.required ? ["This field is required."] : [];
  if (field.type === "int" || field.type === "float") {
    const found = Number(value);
    if (!Number.isFinite(found)) return ["Write a number."];
    if (field.type === "int" && !Number.isInteger(found)) return ["Write a whole number."];
    if (field.minimum !== null && found < field.minimum) return [`At least ${field.minimum}.`];
    if (field.maximum !== null && found > field.maximum) return [`At most ${field.maximum}.`];
  }
  if (field.type === "text" && field.length && text(value).length > field.length)
    return [`At most ${field.length} characters.`];
  if (field.type === "text" && field.pattern && !new RegExp(`^(?:${field.pattern})$`, "u").test(text(value)))
    return ["This has characters that are not allowed here."];
  if (field.type === "json" && typeof value === "string") return ["This is not valid JSON."];
  if ((field.type === "date" || field.type === "datetime") && text(value).slice(0, 10) < field.earliest)
    return [`Not before ${field.earliest}.`];
  return [];
}
