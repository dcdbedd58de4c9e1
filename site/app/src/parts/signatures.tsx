// Signatures under a record: who said of it what, and whether it is still as it was then.
import { useEffect, useState } from "preact/hooks";
import { fieldsOf, get, Refused, send, wording } from "../data/api.ts";
import { field, kinds, words } from "../data/forms.ts";
import { type Row, text } from "../data/model.ts";
import { unsent } from "../data/outbox.ts";
import { waiting } from "../data/store.ts";
import { saidTime } from "../data/time.ts";
import { tell } from "../data/undo.ts";
import { Buttons } from "../forms/field.tsx";
import { closeSheet, openSheet } from "./sheet.tsx";

const SAYS: Record<string, string> = { author: "wrote it", witness: "witnessed it", review: "reviewed it" };

interface Props {
  kind: string;
  /** Key and id of the record. */
  record: string;
  id: string;
}

export function Signatures({ kind, record, id }: Props) {
  const [found, setFound] = useState<Row[] | string>("…");
  const [round, setRound] = useState(0);
  const sent = !waiting(kind, record);
  // An edit that has been sent is one that the signatures may not be of.
  useEffect(() => {
    if (!sent) return;
    let live = true;
    void get<{ results: Row[] }>(`/signatures?object_id=${encodeURIComponent(id)}`)
      .then((answer) => live && setFound(answer.results))
      .catch((error: unknown) => live && setFound(error instanceof Refused ? error.message : String(error)));
    return () => void (live = false);
  }, [id, round, sent, unsent.value.length]);
  return (
    <section class="signatures">
      {typeof found === "string" ? <p class="muted" role="status">{found}</p> : (
        <ul class="plain">
          {found.map((each) => (
            <li key={text(each.id)}>
              <strong>{text(each.by)}</strong> {SAYS[text(each.meaning)] ?? text(each.meaning)} <span class="muted small">{saidTime(each.at)}</span>{" "}
              {each.current ? <span class="badge accent">as it is now</span> : <span class="badge warn">changed since</span>}
            </li>
          ))}
          {!found.length && <li class="muted">Nobody has signed it.</li>}
        </ul>
      )}
      {sent ? (
        <button type="button" class="button" onClick={() => openSheet("Sign", () => <Sign kind={kind} id={id} onDone={() => setRound((now) => now + 1)} />)}>Sign</button>
      ) : <p class="muted small">It can be signed when it has been sent.</p>}
    </section>
  );
}

/** The password goes to the server at once and is kept nowhere; so signing needs a connection. */
function Sign({ kind, id, onDone }: { kind: string; id: string; onDone: () => void }) {
  const [meaning, setMeaning] = useState("author");
  const [password, setPassword] = useState("");
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const save = async (): Promise<void> => {
    setBusy(true);
    const answer = await send("POST", "/signatures", { content_type: kinds.get(kind)?.model, object_id: id, meaning, password });
    setBusy(false);
    if (answer.status === 0) return setError("There is no connection. Signing needs one.");
    if (answer.status >= 300) return setError(fieldsOf(answer.body).password?.join(" ") ?? wording(answer.status, answer.body));
    closeSheet();
    tell("Signed");
    onDone();
  };
  return (
    <form class="form" onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <div class="field">
        <span class="label" id="sign-as">As</span>
        <Buttons labelledBy="sign-as" choices={field("signatures", "meaning")?.choices ?? []} value={meaning} onChange={(value) => value && setMeaning(value)} />
        <p class="help">{words(meaning)}: I {SAYS[meaning]}. The record is sealed as it is now; a change afterwards is shown.</p>
      </div>
      <div class="field">
        <label class="label" for="sign-password">Your password again</label>
        <input id="sign-password" class="input" type="password" autocomplete="current-password" required value={password} aria-describedby={error ? "sign-error" : undefined} onInput={(event) => setPassword(event.currentTarget.value)} />
        {error && <p class="error" id="sign-error" role="alert">{error}</p>}
      </div>
      <div class="form-end"><button class="primary" disabled={busy}>Sign</button></div>
    </form>
  );
}
