// A list of records: facets, words to look for, sorting, a few pages at a time, choosing many.
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Row, text } from "../data/model.ts";

export interface Shown {
  name: string;
  label: string;
  show?: (row: Row) => ComponentChildren;
  /** What it is sorted and searched by. */
  value?: (row: Row) => string | number;
  /** Left out on a phone. */
  minor?: boolean;
  /** Shown only where it was chosen. */
  extra?: boolean;
}

export interface Facet {
  name: string;
  label: string;
  options: { key: string; label: string }[];
  keep: (row: Row, key: string) => boolean;
  initial?: string;
}

/** How a list is looked at: what is kept as a view. */
export interface Look {
  words: string;
  picked: Record<string, string>;
  order: string;
  /** Columns that are shown; none: the usual ones. */
  columns: string[];
}

const PAGE = 100;
/** Rows that are drawn at once; more when the end is seen. */

const FEW_FACETS = 2;
/** Filters that a phone shows at once. */

interface Props {
  label: string;
  rows: Row[];
  keyOf: (row: Row) => string;
  columns: Shown[];
  facets?: Facet[];
  href?: (row: Row) => string;
  /** What may be done with those chosen. */
  bulk?: (keys: string[], clear: () => void) => ComponentChildren;
  empty?: ComponentChildren;
  order?: string;
  initial?: Record<string, string>;
  /** How it is looked at first: a view that was kept. */
  start?: Look;
  /** What is shown beside the facets, which may change how the list is looked at. */
  tools?: (look: Look, set: (look: Look) => void) => ComponentChildren;
}

const read = (column: Shown, row: Row): string | number => (column.value ? column.value(row) : text(row[column.name]));

export function List(props: Props) {
  const { facets = [] } = props;
  const [look, setLook] = useState<Look>(() => ({
    words: "",
    picked: { ...Object.fromEntries(facets.map((each) => [each.name, each.initial ?? ""])), ...props.initial },
    order: props.order ?? props.columns[0]!.name,
    columns: [],
    ...props.start,
  }));
  const { words: typed, picked, order } = look;
  const change = (more: Partial<Look>): void => setLook({ ...look, ...more });
  const setOrder = (name: string): void => change({ order: name });
  // Columns that somebody chose are shown on a phone, too.
  const columns = useMemo(() => {
    const wanted = new Set(look.columns);
    if (!wanted.size) return props.columns.filter((each) => !each.extra);
    return props.columns.filter((each, i) => i === 0 || wanted.has(each.name)).map((each) => ({ ...each, minor: false }));
  }, [props.columns, look.columns]);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [shown, setShown] = useState(PAGE);
  const [filters, setFilters] = useState(false);
  const end = useRef<HTMLDivElement>(null);

  const found = useMemo(() => {
    const said = typed.trim().toLowerCase();
    const kept = props.rows.filter(
      (row) =>
        facets.every((each) => !picked[each.name] || each.keep(row, picked[each.name]!)) &&
        (!said || props.columns.some((each) => String(read(each, row)).toLowerCase().includes(said))),
    );
    const down = order.startsWith("-");
    const by = props.columns.find((each) => each.name === order.replace(/^-/, "")) ?? props.columns[0]!;
    kept.sort((a, b) => {
      const [x, y] = [read(by, a), read(by, b)];
      const sign = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), undefined, { numeric: true });
      return down ? -sign : sign;
    });
    return kept;
  }, [props.rows, typed, picked, order, props.columns, facets]);

  useEffect(() => setShown(PAGE), [typed, picked, order]);
  useEffect(() => {
    const target = end.current;
    if (!target) return;
    const watch = new IntersectionObserver((seen) => seen.some((each) => each.isIntersecting) && setShown((now) => now + PAGE), { rootMargin: "600px" });
    watch.observe(target);
    return () => watch.disconnect();
  }, [found.length > shown]);

  const clear = (): void => setChosen(new Set());
  const choose = (key: string, on: boolean): void => {
    const next = new Set(chosen);
    if (on) next.add(key);
    else next.delete(key);
    setChosen(next);
  };
  const visible = found.slice(0, shown);
  // On a phone more than a few filters would leave no room for what they find.
  const many = facets.length > FEW_FACETS;
  const used = facets.filter((each) => picked[each.name]).length;
  return (
    <div class="list">
      <div class="list-tools">
        <input class="input" type="search" aria-label={`Find in ${props.label}`} placeholder="Find" value={typed} onInput={(event) => change({ words: event.currentTarget.value })} />
        {many && <button type="button" class="button filters-open" aria-expanded={filters} onClick={() => setFilters(!filters)}>Filters{used ? ` (${used})` : ""}</button>}
        {facets.map((each) => (
          <label key={each.name} class={`facet ${many && !filters ? "folded" : ""}`}>
            <select class="input" aria-label={each.label} value={picked[each.name]} onChange={(event) => change({ picked: { ...picked, [each.name]: event.currentTarget.value } })}>
              <option value="">{each.label}: all</option>
              {each.options.map((one) => <option key={one.key} value={one.key}>{one.label}</option>)}
            </select>
          </label>
        ))}
        {props.tools?.(look, setLook)}
        <span class="muted small" role="status">{found.length} {found.length === 1 ? "row" : "rows"}</span>
      </div>
      {props.bulk && chosen.size > 0 && (
        <div class="bulk" role="region" aria-label="With those chosen">
          <strong>{chosen.size} chosen</strong>
          {props.bulk([...chosen], clear)}
          <button type="button" class="quiet" onClick={clear}>Clear</button>
        </div>
      )}
      {!found.length && <div class="empty">{props.empty ?? <p>Nothing here yet.</p>}</div>}
      {found.length > 0 && (
        <div class="table-box" tabIndex={0} role="region" aria-label={props.label}>
          <table class="table">
            <caption class="visually-hidden">{props.label}</caption>
            <thead>
              <tr>
                {props.bulk && (
                  <th scope="col" class="pick">
                    <label class="pick-box"><input type="checkbox" aria-label="Choose all found" checked={chosen.size > 0 && chosen.size === found.length} onChange={(event) => setChosen(event.currentTarget.checked ? new Set(found.map(props.keyOf)) : new Set())} /></label>
                  </th>
                )}
                {columns.map((each) => (
                  <th key={each.name} scope="col" class={each.minor ? "minor" : ""} aria-sort={order.replace(/^-/, "") === each.name ? (order.startsWith("-") ? "descending" : "ascending") : undefined}>
                    <button type="button" class="sort" onClick={() => setOrder(order === each.name ? `-${each.name}` : each.name)}>{each.label}</button>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {visible.map((row) => {
                const key = props.keyOf(row);
                return (
                  <tr key={key} class={chosen.has(key) ? "chosen" : ""}>
                    {props.bulk && (
                      <td class="pick">
                        <label class="pick-box"><input type="checkbox" aria-label={`Choose ${key}`} checked={chosen.has(key)} onChange={(event) => choose(key, event.currentTarget.checked)} /></label>
                      </td>
                    )}
                    {columns.map((each, i) => {
                      const said = each.show ? each.show(row) : text(row[each.name]);
                      return (
                        <td key={each.name} class={each.minor ? "minor" : ""}>
                          {i === 0 && props.href ? <a class="row-link" href={props.href(row)}>{said || key}</a> : said}
                        </td>
                      );
                    })}
                  </tr>
                );
              })}
            </tbody>
          </table>
          {found.length > shown && <div ref={end} class="end" />}
        </div>
      )}
    </div>
  );
}
