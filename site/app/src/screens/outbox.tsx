// What waits to be sent, what the server did not take, and what to do about it.
import { online } from "../data/api.ts";
import { db } from "../data/db.ts";
import { resources } from "../data/forms.ts";
import { type Group, list, text, type Write } from "../data/model.ts";
import { renamed } from "../data/names.ts";
import { again, giveUp, groups, mine, nudge } from "../data/outbox.ts";
import { keyOf, theirs } from "../data/store.ts";
import { daysBetween, saidTime, today } from "../data/time.ts";
import { Empty } from "../parts/empty.tsx";
import { save } from "./mice.tsx";
import { weekday } from "./today.tsx";

const said = (value: unknown): string => (Array.isArray(value) ? list(value).join(", ") : text(value)) || "–";

function Compare({ write }: { write: Write }) {
  const kind = resources.get(write.resource)?.kind ?? "";
  const there = theirs(kind, keyOf(write)) ?? {};
  if (write.op !== "update") return <p>{resources.get(write.resource)?.singular} {text(write.body?.subject) || keyOf(write)}</p>;
  return (
    <table class="table">
      <caption>{resources.get(write.resource)?.singular} {keyOf(write)}</caption>
      <thead><tr><th scope="col">Field</th><th scope="col">Mine</th><th scope="col">Theirs</th></tr></thead>
      <tbody>
        {Object.keys(write.body ?? {}).map((name) => (
          <tr key={name}><th scope="row">{name.replaceAll("_", " ")}</th><td>{said(write.body?.[name])}</td><td>{said(there[name])}</td></tr>
        ))}
      </tbody>
    </table>
  );
}

const MEANT = ["confirmed", "unusual"];

function Card({ group }: { group: Group }) {
  const conflict = group.state === "conflict";
  const stops = conflict || group.state === "refused";
  // Names that this device gave may have been given by another one meanwhile.
  const named = stops && group.writes.some((each) => each.op === "create" && ["subjects", "litters", "breeding-pairs"].includes(each.resource));
  // What is seldom meant is asked about: by a field that says it is.
  const doubted = (group.errors ?? []).some((each) => MEANT.some((name) => name in each));
  const meant = (): Write[] => group.writes.map((write, i) => ({ ...write, body: { ...write.body, ...Object.fromEntries(MEANT.filter((name) => name in (group.errors?.[i] ?? {})).map((name) => [name, true])) } }));
  const old = daysBetween(group.at, today()) >= 1;
  return (
    <li class={`card ${stops ? "bad" : ""}`}>
      <p class="change-head">
        <strong>{group.what}</strong> <span class="muted small">{saidTime(group.at)}</span>
      </p>
      {group.message && <p class={stops ? "error" : "muted small"}>{group.message}</p>}
      {!stops && <p class="muted small">{group.state === "sending" ? "Being sent." : group.tries ? `Tried ${group.tries} times; tried again by itself.` : "Waits for its turn."}{old ? " It is more than a day old: connect this device soon." : ""}</p>}
      {conflict && <p class="small">Somebody changed the same record meanwhile. Below are your values and the device’s latest.</p>}
      {stops && group.writes.slice(0, 8).map((write, i) => (
        <div key={i}>
          <Compare write={write} />
          {Object.entries(group.errors?.[i] ?? {}).map(([name, messages]) => <p key={name} class="error small">{name === "non_field_errors" ? "" : `${name.replaceAll("_", " ")}: `}{messages.join(" ")}</p>)}
        </div>
      ))}
      {stops && (
        <div class="actions">
          {conflict && group.writes.length > 0 && <button type="button" class="button" onClick={() => void again(group, mine(group.writes))}>Keep mine</button>}
          <button type="button" class="button" onClick={() => void giveUp(group.id)}>{conflict ? "Keep theirs" : "Give up"}</button>
          {doubted && <button type="button" class="button" onClick={() => void again(group, meant())}>It is meant</button>}
          {!conflict && <button type="button" class="button" onClick={() => void again(group)}>Try again</button>}
          {named && <button type="button" class="button" onClick={() => void again(group, renamed(group.writes))}>With new names</button>}
        </div>
      )}
    </li>
  );
}

async function saveAll(): Promise<void> {
  const kept = await (await db()).getAll("outbox");
  save(new Blob([JSON.stringify(kept, null, 1)], { type: "application/json" }), `not-sent-${today()}.json`);
}

export function Outbox() {
  const all = groups.value;
  return (
    <>
      <header class="page-head">
        <div><h1>Not sent yet</h1><p class="muted">{online.value ? "Connected." : "No connection: what you do is kept on this device."} {weekday(today())}</p></div>
        {all.length > 0 && <button type="button" class="primary" onClick={nudge}>Send now</button>}
      </header>
      {all.length ? (
        <>
          <ol class="cards">{all.map((each) => <Card key={each.id} group={each} />)}</ol>
          <button type="button" class="quiet" onClick={() => void saveAll()}>Save as a file</button>
        </>
      ) : (
        <Empty title="Everything is saved">The server has all that was done here.</Empty>
      )}
    </>
  );
}
