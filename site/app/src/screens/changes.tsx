// Who changed what, from what to what; and taking it back.
import { useEffect, useState } from "preact/hooks";
import { get, Refused } from "../data/api.ts";
import { kinds } from "../data/forms.ts";
import { list, type Row, text } from "../data/model.ts";
import { lab } from "../data/session.ts";
import { saidTime } from "../data/time.ts";
import { undo } from "../data/undo.ts";
import { shown } from "./shown.ts";
import { Empty, Failed } from "../parts/empty.tsx";
import { href } from "../parts/router.ts";

/** One write of one record, as `GET /audit` has it. */
interface Entry {
  at: string;
  who: string;
  action: string;
  kind: string;
  key: string;
  group: string | null;
  before: Row;
  after: Row;
}

const QUIET = new Set(["id", "version", "updated", "lab"]);

const ACTIONS: Record<string, string> = { create: "added", update: "changed", delete: "deleted" };

/** What differs between before and after, with the labels and values that forms show. */
function differences(entry: Entry): [string, string, string][] {
  const names = new Set([...Object.keys(entry.before), ...Object.keys(entry.after)]);
  const fields = kinds.get(entry.kind)?.fields ?? [];
  return [...names]
    .filter((name) => !QUIET.has(name) && JSON.stringify(entry.before[name] ?? null) !== JSON.stringify(entry.after[name] ?? null))
    .map((name): [string, string, string] => {
      const field = fields.find((each) => each.name === name);
      const said = (value: unknown): string => (field ? shown(field, value) : Array.isArray(value) ? list(value).join(", ") : text(value));
      return [field?.label ?? name, said(entry.before[name]), said(entry.after[name])];
    })
    .filter(([, before, after]) => before || after)
    .slice(0, 12);
}

/** What a record is called: by what it is about, where its key says nothing. */
function called(entry: Entry): string {
  const title = kinds.get(entry.kind)?.title ?? "";
  return text(entry.after[title] ?? entry.before[title] ?? entry.after.subject ?? entry.before.subject) || entry.key;
}

export function Changes({ kind, record }: { kind?: string; record?: string }) {
  const [found, setFound] = useState<Entry[] | string>("…");
  const [round, setRound] = useState(0);
  useEffect(() => {
    const query = kind && record ? `kind=${encodeURIComponent(kind)}&key=${encodeURIComponent(record)}` : "limit=100";
    void get<{ results: Entry[] }>(`/audit?${query}`)
      .then((answer) => setFound(answer.results))
      .catch((error: unknown) => setFound(error instanceof Refused ? error.message : String(error)));
  }, [kind, record, lab.value, round]);
  if (found === "…") return <p class="muted" role="status">…</p>;
  if (typeof found === "string") return <Failed told={found} again={() => { setFound("…"); setRound(round + 1); }} />;
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
              <strong>{first.who || "somebody"}</strong> {`${ACTIONS[first.action] ?? first.action} ${entries.length > 1 ? `${entries.length} records` : (kinds.get(first.kind)?.singular.toLowerCase() ?? first.kind)}`} <span class="muted small">{saidTime(first.at)}</span>
              {first.group && <button type="button" class="button small" onClick={() => void undo(first.group!).then(() => setRound(round + 1))}>Undo</button>}
            </p>
            {entries.slice(0, 6).map((each, i) => (
              <div key={i} class="change">
                {!record && <a href={each.kind === "subject" ? href("mouse", each.key) : href("lists", kinds.get(each.kind)?.path ?? "", each.key)}>{kinds.get(each.kind)?.singular ?? each.kind} {called(each)}</a>}
                <ul class="plain small">
                  {differences(each).map(([label, before, after]) => (
                    <li key={label}><span class="muted">{label}:</span> {before && <><del>{before}</del> → </>}<ins>{after || "–"}</ins></li>
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
