// A table of inputs with the keys of a spreadsheet.
import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { apply, type Cell, type Edit, History, readTable, writeTable } from "./edits.ts";

export interface Column {
  name: string;
  label: string;
  /** A value is typed as text unless said otherwise. */
  type?: "text" | "number" | "choice" | "check" | "result";
  choices?: { key: string; label: string }[];
  /** Instead of an input: what is shown. */
  show?: (row: string) => ComponentChildren;
  placeholder?: (row: string) => string;
  /** How what is pasted is read. */
  parse?: (value: string) => string;
  unit?: string;
  wide?: boolean;
  /** Left out on a phone. */
  minor?: boolean;
}

export type Values = Record<string, Record<string, string>>;

interface Props {
  caption: string;
  /** What the rows are. */
  first?: string;
  columns: Column[];
  rows: { key: string; label: ComponentChildren; name: string; tone?: string }[];
  values: Values;
  onChange: (values: Values) => void;
  errors?: Record<string, Record<string, string>>;
}

interface Range {
  from: number;
  to: number;
  column: number;
}

export function Grid(props: Props) {
  const { columns, rows, values, onChange } = props;
  const inputs = columns.map((_, i) => i).filter((i) => !columns[i]!.show);
  const box = useRef<HTMLTableElement>(null);
  const past = useRef(new History());
  const [range, setRange] = useState<Range | undefined>(undefined);

  const at = (row: number, column: number): string => values[rows[row]?.key ?? ""]?.[columns[column]!.name] ?? "";
  const cell = (row: number, column: number): Cell => ({ row: rows[row]!.key, column: columns[column]!.name });
  const change = (edits: Edit[], together = false): void => {
    if (!edits.length) return;
    past.current.add(edits.map((each) => ({ ...each, before: values[each.row]?.[each.column] ?? "" })), together);
    onChange(apply(values, edits));
  };
  const focus = (row: number, column: number): void => {
    const found = box.current?.querySelector<HTMLElement>(`[data-at="${row},${column}"]`);
    found?.focus();
    if (found instanceof HTMLInputElement && found.type !== "checkbox") found.select();
  };
  const chosen = (row: number, column: number): { row: number; column: number }[] => {
    if (!range || range.column !== column) return [{ row, column }];
    const [low, high] = [Math.min(range.from, range.to), Math.max(range.from, range.to)];
    return Array.from({ length: high - low + 1 }, (_, i) => ({ row: low + i, column }));
  };
  const step = (column: number, by: number): number => {
    const place = inputs.indexOf(column) + by;
    return inputs[Math.max(0, Math.min(inputs.length - 1, place))]!;
  };

  const key = (event: KeyboardEvent, row: number, column: number): void => {
    const input = event.target as HTMLInputElement | HTMLSelectElement;
    const kind = columns[column]!.type;
    const ctrl = event.ctrlKey || event.metaKey;
    const go = (to: number, over = column): void => {
      event.preventDefault();
      setRange(undefined);
      focus(Math.max(0, Math.min(rows.length - 1, to)), over);
    };
    if (event.key === "Enter") return go(row + (event.shiftKey ? -1 : 1));
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const by = event.key === "ArrowDown" ? 1 : -1;
      if (!event.shiftKey) return go(row + by);
      event.preventDefault();
      const from = range?.column === column ? range.from : row;
      const to = Math.max(0, Math.min(rows.length - 1, (range?.column === column ? range.to : row) + by));
      return setRange({ from, to, column });
    }
    if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && !ctrl) {
      const whole = !(input instanceof HTMLInputElement) || input.type === "checkbox" || whole_(input);
      const right = event.key === "ArrowRight";
      const edge = input instanceof HTMLInputElement && input.type !== "checkbox" && (right ? input.selectionEnd === input.value.length : input.selectionStart === 0);
      if (whole || edge) go(row, step(column, right ? 1 : -1));
      return;
    }
    if (event.key === "F2" && input instanceof HTMLInputElement) {
      event.preventDefault();
      input.setSelectionRange(input.value.length, input.value.length);
    } else if (event.key === "Escape") {
      setRange(undefined);
      const before = past.current.before(cell(row, column));
      if (before !== undefined) change([{ ...cell(row, column), value: before }]);
    } else if (ctrl && event.key.toLowerCase() === "d") {
      event.preventDefault();
      const cells = chosen(row, column);
      const source = cells.length > 1 ? at(cells[0]!.row, column) : at(Math.max(0, row - 1), column);
      change(cells.map((each) => ({ ...cell(each.row, column), value: source })));
    } else if (ctrl && event.key.toLowerCase() === "z") {
      event.preventDefault();
      const edits = past.current.undo();
      if (edits) onChange(apply(values, edits));
    } else if (ctrl && event.key.toLowerCase() === "y") {
      event.preventDefault();
      const edits = past.current.redo();
      if (edits) onChange(apply(values, edits));
    } else if (kind === "result" && !ctrl) result(event, row, column, go);
    else if ((event.key === "Delete" || event.key === "Backspace") && range) {
      event.preventDefault();
      change(chosen(row, column).map((each) => ({ ...cell(each.row, column), value: "" })));
    }
  };

  const result = (event: KeyboardEvent, row: number, column: number, go: (to: number, over?: number) => void): void => {
    const value = { "+": "present", "=": "present", "-": "absent", "−": "absent", Backspace: "", Delete: "" }[event.key];
    if (value === undefined) return;
    event.preventDefault();
    change(chosen(row, column).map((each) => ({ ...cell(each.row, column), value })));
    if (value && !range) {
      // Across the sequences of an animal, then down: the order in which a gel is read.
      const last = column === inputs.at(-1);
      go(last ? row + 1 : row, last ? inputs.find((i) => columns[i]!.type === "result")! : step(column, 1));
    }
  };

  const paste = (event: ClipboardEvent, row: number, column: number): void => {
    const table = readTable(event.clipboardData?.getData("text/plain") ?? "");
    if (table.length === 1 && table[0]!.length === 1 && !range) return;
    event.preventDefault();
    const edits: Edit[] = [];
    const place = inputs.indexOf(column);
    // One value into a range fills it, as spreadsheets do.
    if (table.length === 1 && table[0]!.length === 1)
      for (const each of chosen(row, column)) edits.push({ ...cell(each.row, column), value: table[0]![0]! });
    else
      table.forEach((line, i) =>
        line.forEach((value, j) => {
          const over = inputs[place + j];
          if (over !== undefined && row + i < rows.length) edits.push({ ...cell(row + i, over), value: columns[over]!.parse?.(value) ?? value.trim() });
        }),
      );
    change(edits);
  };

  const copy = (event: ClipboardEvent, row: number, column: number): void => {
    const cells = chosen(row, column);
    if (cells.length < 2) return;
    event.preventDefault();
    event.clipboardData?.setData("text/plain", writeTable(cells.map((each) => [at(each.row, column)])));
  };

  const inRange = (row: number, column: number): boolean =>
    !!range && range.column === column && row >= Math.min(range.from, range.to) && row <= Math.max(range.from, range.to);

  return (
    <div class="grid-box">
      <table class="grid" ref={box}>
        <caption class="visually-hidden">{props.caption}</caption>
        <thead>
          <tr>
            <th scope="col">{props.first ?? "Mouse"}</th>
            {columns.map((each) => (
              <th key={each.name} scope="col" class={each.minor ? "minor" : ""}>
                {each.label}
                {each.unit && <span class="muted"> {each.unit}</span>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, i) => (
            <tr key={row.key} class={row.tone ?? ""}>
              <th scope="row">{row.label}</th>
              {columns.map((column, j) => {
                const error = props.errors?.[row.key]?.[column.name];
                const classes = [column.minor && "minor", inRange(i, j) && "chosen", column.wide && "wide", error && "bad"].filter(Boolean).join(" ");
                if (column.show) return <td key={column.name} class={classes}>{column.show(row.key)}</td>;
                const common = {
                  "data-at": `${i},${j}`,
                  "aria-label": `${column.label}, ${row.name}`,
                  "aria-invalid": error ? true : undefined,
                  title: error,
                  onKeyDown: (event: KeyboardEvent) => key(event, i, j),
                  onPaste: (event: ClipboardEvent) => paste(event, i, j),
                  onCopy: (event: ClipboardEvent) => copy(event, i, j),
                  onFocus: (event: FocusEvent) => {
                    if (range && range.column !== j) setRange(undefined);
                    const input = event.currentTarget;
                    if (input instanceof HTMLInputElement && input.type !== "checkbox") input.select();
                  },
                };
                return (
                  <td key={column.name} class={classes}>
                    {column.type === "choice" ? (
                      <select {...common} class="cell" value={at(i, j)} onChange={(event) => change([{ ...cell(i, j), value: event.currentTarget.value }])}>
                        <option value="" />
                        {column.choices?.map((each) => <option key={each.key} value={each.key}>{each.label}</option>)}
                      </select>
                    ) : column.type === "check" ? (
                      <input {...common} class="cell-check" type="checkbox" checked={at(i, j) === "yes"} onChange={(event) => change([{ ...cell(i, j), value: event.currentTarget.checked ? "yes" : "" }])} />
                    ) : column.type === "result" ? (
                      <button {...common} type="button" class={`cell result ${at(i, j)}`} onClick={() => change([{ ...cell(i, j), value: { present: "absent", absent: "", "": "present" }[at(i, j)] ?? "" }])}>
                        {{ present: "+", absent: "−" }[at(i, j)] ?? "·"}
                      </button>
                    ) : (
                      <input
                        {...common}
                        class={`cell ${column.type ?? "text"}`}
                        inputMode={column.type === "number" ? "decimal" : undefined}
                        enterkeyhint="next"
                        autocomplete="off"
                        placeholder={column.placeholder?.(row.key)}
                        value={at(i, j)}
                        onInput={(event) => change([{ ...cell(i, j), value: event.currentTarget.value }], true)}
                      />
                    )}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const whole_ = (input: HTMLInputElement): boolean => input.selectionStart === 0 && input.selectionEnd === input.value.length;
