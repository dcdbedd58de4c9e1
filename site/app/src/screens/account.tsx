// The account at this device, who shares it, and the keys.
import { useState } from "preact/hooks";
import { holder } from "../data/api.ts";
import { unsent } from "../data/outbox.ts";
import { join, leave as takeOff, leaveAll, lock, PIN, seats, setPin } from "../data/seats.ts";
import { lab, me, signOut } from "../data/session.ts";
import { size } from "../data/store.ts";
import { replica, reset } from "../data/sync.ts";
import { tell } from "../data/undo.ts";
import { PinField } from "./lock.tsx";
import { GRID_KEYS, KEYS } from "../parts/keys.ts";
import { go, href } from "../parts/router.ts";
import { closeSheet, openSheet } from "../parts/sheet.tsx";

export function Account() {
  const who = me.value;
  const leave = async (): Promise<void> => {
    if (unsent.value.length && !confirm(`${unsent.value.length} changes are not sent yet and would be lost. Sign out?`)) return;
    await leaveAll();
    reset();
    await signOut();
    go(href("sign-in"));
  };
  return (
    <>
      <h1>Account</h1>
      <dl class="facts">
        <div><dt>User</dt><dd>{who?.username}</dd></div>
        <div><dt>Role</dt><dd>{who?.role}</dd></div>
        <div><dt>On this device</dt><dd>{replica.value === "there" ? `${size()} records` : "nothing yet"}</dd></div>
      </dl>
      {(who?.labs.length ?? 0) > 1 && (
        <div class="field">
          <label class="label" for="lab">Lab</label>
          <select id="lab" class="input" value={lab.value} onChange={(event) => (lab.value = event.currentTarget.value)}>
            {who!.labs.map((each) => <option key={each} value={each}>{each}</option>)}
          </select>
        </div>
      )}
      <p class="actions">
        {who?.username === holder.value && <button type="button" class="button" onClick={() => void leave()}>Sign out{seats.value.length > 1 ? " all" : ""}</button>}
        <a class="button" href={href("keys")}>Keys</a>
        <a class="button" href={href("notifications")}>Notifications</a>
      </p>
      <Sharing />
    </>
  );
}

/** People who share the device: a PIN each, so that what is written is the right person's. */
function Sharing() {
  const mine = seats.value.find((each) => each.username === me.value?.username);
  const remove = async (name: string): Promise<void> => {
    const wrong = await takeOff(name);
    if (wrong) tell(wrong, undefined, "bad");
  };
  return (
    <section>
      <h2>Shared device</h2>
      <p class="muted">People who share a tablet switch by a PIN. What each writes is theirs, and after five minutes without a touch it locks.</p>
      {seats.value.length > 0 && (
        <ul class="rows">
          {seats.value.map((each) => (
            <li key={each.username}>
              <span class="row-main"><strong>{each.username}</strong> {each.username === holder.value && <span class="muted small">whose device it is</span>}</span>
              <button type="button" class="button small" onClick={() => void remove(each.username)}>{each.username === holder.value ? "Take PIN off" : "Remove"}</button>
            </li>
          ))}
        </ul>
      )}
      <p class="actions">
        <button type="button" class="button" onClick={() => openSheet("My PIN", () => <MyPin />)}>{mine ? "Change my PIN" : "Set my PIN"}</button>
        {mine && <button type="button" class="button" onClick={() => openSheet("Add a person", () => <Add />)}>Add a person</button>}
        {mine && <button type="button" class="button" onClick={() => void lock()}>Lock now</button>}
      </p>
    </section>
  );
}

function MyPin() {
  const [pin, setPin_] = useState("");
  const [error, setError] = useState("");
  const save = async (): Promise<void> => {
    if (!PIN.test(pin)) return setError("Four to eight digits.");
    await setPin(me.value!, pin);
    closeSheet();
    tell("The PIN is set on this device");
  };
  return (
    <form class="form" onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <PinField label="PIN" value={pin} onChange={setPin_} error={error} />
      <p class="help">It stays on this device, as a hash. Your password is asked for if it is forgotten.</p>
      <div class="form-end"><button class="primary">Set</button></div>
    </form>
  );
}

function Add() {
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const [pin, setPin_] = useState("");
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const save = async (): Promise<void> => {
    if (!PIN.test(pin)) return setError("The PIN has four to eight digits.");
    setBusy(true);
    const wrong = await join(username.trim(), password, pin);
    setBusy(false);
    if (wrong) return setError(wrong);
    closeSheet();
    tell(`${username.trim()} may use this device`);
  };
  return (
    <form class="form" onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <div class="field">
        <label class="label" for="join-name">User name</label>
        <input id="join-name" class="input" autocomplete="off" autocapitalize="none" spellcheck={false} required value={username} onInput={(event) => setUsername(event.currentTarget.value)} />
      </div>
      <div class="field">
        <label class="label" for="join-password">Password, once</label>
        <input id="join-password" class="input" type="password" autocomplete="off" required value={password} onInput={(event) => setPassword(event.currentTarget.value)} />
      </div>
      <PinField label="Their PIN" value={pin} onChange={setPin_} error={error} />
      <div class="form-end"><button class="primary" disabled={busy}>Add</button></div>
    </form>
  );
}

export function Keys() {
  const rows = (found: [string, string][]) =>
    found.map(([keys, what]) => (
      <tr key={keys}><th scope="row">{keys.split(" ").map((each) => <kbd key={each}>{each}</kbd>)}</th><td class="wraps">{what}</td></tr>
    ));
  return (
    <>
      <h1>Keys</h1>
      <h2>Everywhere</h2>
      <table class="table keys"><caption class="visually-hidden">Keys that work everywhere</caption><tbody>{rows(KEYS)}</tbody></table>
      <h2>In grids</h2>
      <table class="table keys"><caption class="visually-hidden">Keys in grids</caption><tbody>{rows(GRID_KEYS)}</tbody></table>
    </>
  );
}
