// A combobox over the replica: type a few letters, Enter takes the first.
import { useId, useMemo, useRef, useState } from "preact/hooks";
import { title } from "../data/forms.ts";
import { list, type Row, text } from "../data/model.ts";
import { cageOf, lives } from "../data/select.ts";
import { lab } from "../data/session.ts";
import { rows, table } from "../data/store.ts";

export interface Option {
  key: string;
  label: string;
  hint: string;
}

const SHOWN = 30;
/** Options that are listed at once. */

const recent = new Map<string, string[]>();

export function remember(kind: string, key: string): void {
  recent.set(kind, [key, ...(recent.get(kind) ?? []).filter((each) => each !== key)].slice(0, 6));
}

function hint(kind: string, row: Row): string {
  if (kind === "subject")
    return [row.sex, row.line, cageOf(row)].map(text).filter((each) => each && each !== "U").join(" · ");
  if (kind === "user") return [row.first_name, row.last_name].map(text).join(" ").trim();
  if (kind === "session") return [row.subject, text(row.start_time).slice(0, 10)].map(text).join(" · ");
  return text(row.description).slice(0, 60);
}

/** Return what may be chosen of a kind; of animals the living ones of the lab. */
export function options(kind: string, by: string, keep?: (row: Row) => boolean): Option[] {
  const found: Option[] = [];
  for (const [key, row] of table(kind)) {
    if (keep ? !keep(row) : !offered(kind, row)) continue;
    found.push({ key: by === "id" ? text(row.id ?? key) : key, label: title(kind, row, key), hint: hint(kind, row) });
  }
  const last = recent.get(kind) ?? [];
  const rank = (each: Option): number => (last.includes(each.key) ? last.indexOf(each.key) : 99);
  return found.sort((a, b) => rank(a) - rank(b) || a.label.localeCompare(b.label, undefined, { numeric: true }));
}

function offered(kind: string, row: Row): boolean {
  if (row.is_active === false || row.active === false) return false;
  if (row.lab && lab.value && !list(row.lab).concat(text(row.lab)).includes(lab.value)) return false;
  return kind !== "subject" || lives(row);
}

function matching(all: Option[], typed: string): Option[] {
  const said = typed.trim().toLowerCase();
  if (!said) return all.slice(0, SHOWN);
  const starts = all.filter((each) => each.label.toLowerCase().startsWith(said));
  const has = all.filter(
    (each) => !starts.includes(each) && `${each.label} ${each.hint}`.toLowerCase().includes(said),
  );
  return [...starts, ...has].slice(0, SHOWN);
}

interface Props {
  id: string;
  kind: string;
  by?: string;
  value: string;
  onPick: (key: string) => void;
  keep?: (row: Row) => boolean;
  /** Whether a name that nobody knows yet may be given. */
  open?: boolean;
  placeholder?: string;
  invalid?: boolean;
  describedBy?: string;
  autofocus?: boolean;
  label?: string;
}

export function Picker(props: Props) {
  const { id, kind, by = "name", value, onPick, keep, open } = props;
  const [typed, setTyped] = useState<string | undefined>(undefined);
  const [at, setAt] = useState(0);
  const box = useRef<HTMLInputElement>(null);
  const listId = useId();
  const rowsNow = table(kind);
  const all = useMemo(() => options(kind, by, keep), [rowsNow, rows(kind).length, kind, by, keep]);
  const shown = typed === undefined ? [] : matching(all, typed);
  const label = all.find((each) => each.key === value)?.label ?? value;

  const pick = (key: string): void => {
    remember(kind, key);
    setTyped(undefined);
    onPick(key);
  };
  const leave = (): void => {
    if (typed === undefined) return;
    const said = typed.trim();
    const exact = all.find((each) => each.label.toLowerCase() === said.toLowerCase());
    if (!said) pick("");
    else if (exact) pick(exact.key);
    else if (open) pick(said);
    else setTyped(undefined);
  };
  const key = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      event.stopPropagation();
      if (typed === undefined) setTyped("");
      else setAt(Math.max(0, Math.min(shown.length - 1, at + (event.key === "ArrowDown" ? 1 : -1))));
    } else if (event.key === "Enter" && typed !== undefined) {
      const choice = shown[at];
      if (typed.trim() && choice) {
        event.preventDefault();
        pick(choice.key);
      } else leave();
    } else if (event.key === "Escape" && typed !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      setTyped(undefined);
    }
  };
  return (
    <div class="picker">
      <input
        ref={box}
        id={id}
        class="input"
        role="combobox"
        autocomplete="off"
        spellcheck={false}
        aria-label={props.label}
        aria-expanded={shown.length > 0}
        aria-controls={listId}
        aria-autocomplete="list"
        aria-activedescendant={shown.length ? `${listId}-${at}` : undefined}
        aria-invalid={props.invalid || undefined}
        aria-describedby={props.describedBy}
        placeholder={props.placeholder ?? "Type to find"}
        value={typed ?? label}
        onFocus={(event) => event.currentTarget.select()}
        onInput={(event) => {
          setTyped(event.currentTarget.value);
          setAt(0);
        }}
        onClick={() => typed === undefined && setTyped("")}
        onBlur={leave}
        onKeyDown={key}
      />
      <ul class="options" role="listbox" id={listId} aria-label="Choices" hidden={!shown.length}>
        {shown.map((each, i) => (
          <li
            key={each.key}
            id={`${listId}-${i}`}
            role="option"
            aria-selected={i === at}
            onMouseDown={(event) => {
              event.preventDefault();
              pick(each.key);
            }}
          >
            <span>{each.label}</span>
            {each.hint && <span class="muted small">{each.hint}</span>}
          </li>
        ))}
      </ul>
    </div>
  );
}

/** Several of them, as chips. */
export function Chips(props: Omit<Props, "value" | "onPick"> & { value: string[]; onChange: (keys: string[]) => void }) {
  const { value, onChange, kind, by = "name" } = props;
  const named = (key: string): string =>
    by === "name" ? title(kind, table(kind).get(key), key) : (options(kind, by, () => true).find((e) => e.key === key)?.label ?? key);
  return (
    <div class="chips">
      {value.map((each) => (
        <span key={each} class="chip">
          {named(each)}
          <button
            type="button"
            class="chip-x"
            aria-label={`Remove ${named(each)}`}
            onClick={() => onChange(value.filter((other) => other !== each))}
          >
            ×
          </button>
        </span>
      ))}
      <Picker
        {...props}
        value=""
        placeholder={value.length ? "Add another" : "Type to find"}
        onPick={(key) => key && !value.includes(key) && onChange([...value, key])}
      />
    </div>
  );
}
