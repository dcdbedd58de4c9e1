// Changes of a grid's cells: applied, taken back, and as spreadsheets copy them.
export interface Cell {
  row: string;
  column: string;
}

export interface Edit extends Cell {
  value: string;
}

interface Done extends Edit {
  before: string;
}

export function apply(values: Record<string, Record<string, string>>, edits: Edit[]): Record<string, Record<string, string>> {
  const next = { ...values };
  for (const { row, column, value } of edits) next[row] = { ...next[row], [column]: value };
  return next;
}

/** What was done in a grid, to be taken back step by step. */
export class History {
  private done: Done[][] = [];
  private undone: Done[][] = [];

  /** Add a step; typing in one cell is one step however many letters it has. */
  add(step: Done[], together = false): void {
    const last = this.done.at(-1);
    const [one] = step;
    this.undone = [];
    if (together && one && last?.length === 1 && last[0]!.row === one.row && last[0]!.column === one.column) last[0]!.value = one.value;
    else this.done.push(step);
  }

  undo(): Edit[] | undefined {
    const step = this.done.pop();
    if (!step) return undefined;
    this.undone.push(step);
    return step.map((each) => ({ row: each.row, column: each.column, value: each.before }));
  }

  redo(): Edit[] | undefined {
    const step = this.undone.pop();
    if (!step) return undefined;
    this.done.push(step);
    return step;
  }

  /** Return what was in a cell before the last step, if that was of this cell. */
  before(cell: Cell): string | undefined {
    const last = this.done.at(-1);
    return last?.length === 1 && last[0]!.row === cell.row && last[0]!.column === cell.column ? last[0]!.before : undefined;
  }
}

/** Read what a spreadsheet copied: tabs between cells, quotes around cells with line ends. */
export function readTable(said: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = "";
  let quoted = false;
  const text = said.replace(/\r\n?/g, "\n").replace(/\n$/, "");
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quoted) {
      if (c !== '"') cell += c;
      else if (text[i + 1] === '"') cell += text[++i];
      else quoted = false;
    } else if (c === '"' && cell === "") quoted = true;
    else if (c === "\t") {
      row.push(cell);
      cell = "";
    } else if (c === "\n") {
      rows.push([...row, cell]);
      row = [];
      cell = "";
    } else cell += c;
  }
  rows.push([...row, cell]);
  return rows;
}

export const writeTable = (rows: string[][]): string =>
  rows.map((row) => row.map((cell) => (/[\t\n"]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join("\t")).join("\n");
