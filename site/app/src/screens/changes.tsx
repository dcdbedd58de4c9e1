// Who changed what, from what to what; and taking it back.
import { useEffect, useState } from "preact/hooks";
import { get, Refused } from "../data/api.ts";
import { kinds } from "../data/forms.ts";
import { list, type Row, text } from "../data/model.ts";
import { lab } from "../data/session.ts";
import { saidTime } from "../data/time.ts";
import { undo } from "../data/undo.ts";
import { Empty } from "../parts/empty.tsx";
import { href } from "../parts/router.ts";

interface Entry {
  at: string;
  who: string;
  action: string;
  kind: string;
  key: string;
  group: string;
  what: string;
  before: Row;
  after: Row;
}

function read(row: Row): Entry {
  return {
    at: text(row.at ?? row.when),
    who: text(row.who),
    action: text(row.action),
    kind: text(row.kind),
    key: text(row.key),
    group: text(row.group),
    what: text(row.what_done ?? row.what),
    before: (row.before ?? {}) as Row,
    after: (row.after ?? {}) as Row,
  };
}

const QUIET = new Set(["id", "version", "updated", "lab"]);

function differences(entry: Entry): [string, string, string][] {
  const names = new Set([...Object.keys(entry.before), ...Object.keys(entry.after)]);
  const said = (value: unknown): string => (Array.isArray(value) ? list(value).join(", ") : text(value)) || "–";
  return [...names]
    .filter((name) => !QUIET.has(name) && JSON.stringify(entry.before[name] ?? null) !== JSON.stringify(entry.after[name] ?? null))
    .map((name): [string, string, string] => [kinds.get(entry.kind)?.fields.find((each) => each.name === name)?.label ?? name, said(entry.before[name]), said(entry.after[name])])
    .slice(0, 12);
}

export function Changes({ kind, record }: { kind?: string; record?: string }) {
  const [found, setFound] = useState<Entry[] | string>("…");
  const [round, setRound] = useState(0);
  useEffect(() => {
    const query = kind && record ? `kind=${encodeURIComponent(kind)}&key=${encodeURIComponent(record)}` : `lab=${encodeURIComponent(lab.value)}`;
    void get<Row[] | { results?: Row[]; rows?: Row[] }>(`/audit?${query}`)
      .then((answer) => setFound((Array.isArray(answer) ? answer : (answer.results ?? answer.rows ?? [])).map(read)))
      .catch((error: unknown) => setFound(error instanceof Refused ? error.message : String(error)));
  }, [kind, record, lab.value, round]);
  if (typeof found === "string") return <p class="muted" role="status">{found}</p>;
  const groups = new Map<string, Entry[]>();
  for (const each of found) groups.set(each.group || each.at + each.key, [...(groups.get(each.group || each.at + each.key) ?? []), each]);
  if (!found.length) return <Empty title="No changes are known">Changes are kept from the day that they are recorded.</Empty>;
  return (
    <ol class="changes">
      {[...groups].map(([id, entries]) => {
        const first = entries[0]!;
        return (
          <li key={id}>
            <p class="change-head">
              <strong>{first.who || "somebody"}</strong> {first.what || `${first.action} ${kinds.get(first.kind)?.singular.toLowerCase() ?? first.kind}`} <span class="muted small">{saidTime(first.at)}</span>
              {first.group && <button type="button" class="button small" onClick={() => void undo(first.group).then(() => setRound(round + 1))}>Undo</button>}
            </p>
            {entries.slice(0, 6).map((each, i) => (
              <div key={i} class="change">
                {!record && <a href={each.kind === "subject" ? href("mouse", each.key) : href("lists", kinds.get(each.kind)?.path ?? "", each.key)}>{kinds.get(each.kind)?.singular ?? each.kind} {each.key.slice(0, 24)}</a>}
                <ul class="plain small">
                  {differences(each).map(([label, before, after]) => (
                    <li key={label}><span class="muted">{label}:</span> <del>{before}</del> → <ins>{after}</ins></li>
                  ))}
                </ul>
              </div>
            ))}
            {entries.length > 6 && <p class="muted small">and {entries.length - 6} more records</p>}
          </li>
        );
      })}
    </ol>
  );
}

export function ChangesScreen() {
  return (
    <>
      <header class="page-head"><div><h1>Changes</h1><p class="muted">Who changed what in {lab.value}, and from what.</p></div></header>
      <Changes />
    </>
  );
}
