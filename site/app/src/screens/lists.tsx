// Every kind of record: list, read, add, change, delete. Made from the declarations alone.
import { useEffect, useMemo, useState } from "preact/hooks";
import { get, Refused } from "../data/api.ts";
import { resources, type ResourceForm } from "../data/forms.ts";
import { CLOSED, type Row, text } from "../data/model.ts";
import { atLeast, lab } from "../data/session.ts";
import { row, rows, table } from "../data/store.ts";
import { perform, remove } from "../data/undo.ts";
import { Form } from "../forms/form.tsx";
import { List, type Shown } from "../grid/list.tsx";
import { Empty, Failed } from "../parts/empty.tsx";
import { go, href, place } from "../parts/router.ts";
import { closeSheet, openSheet } from "../parts/sheet.tsx";
import { Signatures } from "../parts/signatures.tsx";
import { Changes } from "./changes.tsx";
import { shown } from "./shown.ts";

const COLUMNS = 6;
/** Fields that a list shows; a record shows all. */

const PAGE = 200;

export function Lists() {
  const [path, ...rest] = place.value.parts;
  if (!path) return <All />;
  const made = resources.get(path);
  if (!made) return <Empty whole title={`There is no list ${path}`}><a href={href("lists")}>All lists</a></Empty>;
  return rest.length ? <Record made={made} recordKey={rest.join("/")} /> : <Of made={made} />;
}

function All() {
  const [typed, setTyped] = useState("");
  const found = [...resources.values()].filter((each) => each.label.toLowerCase().includes(typed.toLowerCase()));
  return (
    <>
      <header class="page-head"><div><h1>Lists</h1><p class="muted">Every kind of record there is.</p></div></header>
      <input class="input" type="search" aria-label="Find a list" placeholder="Find a list" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
      <ul class="index">
        {found.map((each) => (
          <li key={each.path}>
            <a href={href("lists", each.path)}><span>{each.label}</span>{table(each.kind).size > 0 && <span class="muted small">{table(each.kind).size}</span>}</a>
          </li>
        ))}
      </ul>
    </>
  );
}

/** Return rows of the device, or of the server where the device keeps none. */
function useRows(made: ResourceForm): { found: Row[]; error: string; again: () => void } {
  const local = rows(made.kind);
  const [fetched, setFetched] = useState<Row[]>([]);
  const [error, setError] = useState("");
  const [round, setRound] = useState(0);
  useEffect(() => {
    setFetched([]);
    setError("");
    if (local.length) return;
    void get<Row[] | { results: Row[] }>(`/${made.path}?limit=${PAGE}`)
      .then((answer) => setFetched(Array.isArray(answer) ? answer : answer.results))
      .catch((problem: unknown) => setError(problem instanceof Refused ? problem.message : String(problem)));
  }, [made.path, local.length === 0, round]);
  const mine = useMemo(() => local.filter((each) => !each.lab || Array.isArray(each.lab) || each.lab === lab.value || made.kind === "lab"), [local]);
  return { found: local.length ? mine : fetched, error, again: () => setRound(round + 1) };
}

function Of({ made }: { made: ResourceForm }) {
  const { found, error, again } = useRows(made);
  const columns = useMemo((): Shown[] => {
    const first = made.fields.find((each) => each.name === (made.title === "id" ? made.fields[0]?.name : made.title)) ?? made.fields[0]!;
    const others = made.fields.filter((each) => each !== first && each.type !== "json" && each.name !== made.lab).slice(0, COLUMNS - 1);
    return [first, ...others].map((each, i) => ({ name: each.name, label: each.label, show: (row_: Row) => shown(each, row_[each.name]), value: (row_: Row) => (each.type === "int" || each.type === "float" ? Number(row_[each.name] ?? 0) : text(row_[each.name])), minor: i > 2 }));
  }, [made]);
  return (
    <>
      <header class="page-head">
        <div><p class="crumb"><a href={href("lists")}>Lists</a></p><h1>{made.label}</h1></div>
        {atLeast(made.actions.create) && <button type="button" class="primary" data-new onClick={() => add(made)}>New</button>}
      </header>
      {made.path === "lines" && <p><a href={href("new-line")}>New line with its alleles and rules</a></p>}
      {error ? <Failed told={error} again={again} /> : <List
        label={made.label}
        rows={found}
        keyOf={(each) => text(each[made.key] ?? each.id)}
        columns={columns}
        order={columns[0]!.name}
        href={(each) => (made.path === "subjects" ? href("mouse", text(each.nickname)) : href("lists", made.path, text(each[made.key] ?? each.id)))}
        empty={<Empty title={`No ${made.label.toLowerCase()} yet`}>{atLeast(made.actions.create) ? "Add one with “New”." : ""}</Empty>}
      />}
    </>
  );
}

export function add(made: ResourceForm, values?: Row): void {
  openSheet(`New ${made.singular.toLowerCase()}`, () => <Form path={made.path} values={values} draft={`new-${made.path}`} onCancel={closeSheet} onDone={closeSheet} />);
}

function Record({ made, recordKey }: { made: ResourceForm; recordKey: string }) {
  const local = row(made.kind, recordKey);
  const [fetched, setFetched] = useState<Row | undefined>(undefined);
  const [error, setError] = useState("");
  const [round, setRound] = useState(0);
  useEffect(() => {
    setFetched(undefined);
    setError("");
    if (local) return;
    void get<Row>(`/${made.path}/${encodeURIComponent(recordKey)}`).then(setFetched).catch((problem: unknown) => setError(problem instanceof Refused ? problem.message : String(problem)));
  }, [made.path, recordKey, !local, round]);
  const found = local ?? fetched;
  const called = found ? text(found[made.title]) || recordKey : recordKey;
  const drop = async (): Promise<void> => {
    await perform(`Deleted ${made.singular.toLowerCase()} ${called}`, [remove(made.path, recordKey)]);
    go(href("lists", made.path));
  };
  return (
    <>
      <header class="page-head">
        <div><p class="crumb"><a href={href("lists")}>Lists</a> / <a href={href("lists", made.path)}>{made.label}</a></p><h1>{called}</h1></div>
        {found && !found[CLOSED] && atLeast(made.actions.update) && (
          <button type="button" class="primary" onClick={() => openSheet(`Change ${called}`, () => <Form path={made.path} row={found} recordKey={recordKey} onCancel={closeSheet} onDone={closeSheet} what={() => `Changed ${made.singular.toLowerCase()} ${called}`} />)}>Change</button>
        )}
      </header>
      {error && <Failed told={error} again={() => setRound(round + 1)} />}
      {found && (
        <dl class="details">
          {made.fields.map((each) => (
            <div key={each.name}>
              <dt>{each.label}</dt>
              <dd>{each.to === "subject" && !each.many && found[each.name] ? <a href={href("mouse", text(found[each.name]))}>{text(found[each.name])}</a> : shown(each, found[each.name]) || <span class="muted">–</span>}{each.unit && found[each.name] !== null && found[each.name] !== undefined ? <span class="muted"> {each.unit}</span> : null}</dd>
            </div>
          ))}
        </dl>
      )}
      {found && (
        <p class="actions">
          {atLeast(made.actions.create) && <button type="button" class="button" onClick={() => add(made, copied(made, found))}>Copy as new</button>}
          {!found[CLOSED] && atLeast(made.actions.delete) && <button type="button" class="button bad" onClick={() => void drop()}>Delete</button>}
          {found[CLOSED] ? <span class="muted small">Whoever answers for the animal may change this, and those who keep the colony.</span> : null}
        </p>
      )}
      {found && <History kind={made.kind} record={recordKey} id={text(found.id)} />}
    </>
  );
}

/** Signatures and changes of a record, asked for when somebody wants to see them. */
export function History({ kind, record, id }: { kind: string; record: string; id: string }) {
  const [open, setOpen] = useState(false);
  const [signed, setSigned] = useState(false);
  return (
    <>
      {id && kind !== "signature" && (
        <details onToggle={(event) => setSigned(event.currentTarget.open)}>
          <summary>Signatures</summary>
          {signed && <Signatures kind={kind} record={record} id={id} />}
        </details>
      )}
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>Changes</summary>
        {open && <Changes kind={kind} record={record} />}
      </details>
    </>
  );
}

function copied(made: ResourceForm, found: Row): Row {
  const values: Row = {};
  for (const each of made.fields) if (!each.read_only && each.name !== made.key && each.type !== "datetime") values[each.name] = found[each.name];
  return values;
}
