// Sign in, the account, and the keys.
import { useEffect, useRef, useState } from "preact/hooks";
import { unsent } from "../data/outbox.ts";
import { lab, me, signIn, signOut } from "../data/session.ts";
import { replica, reset, start } from "../data/sync.ts";
import { GRID_KEYS, KEYS } from "../parts/keys.ts";
import { go, href, place } from "../parts/router.ts";
import { size } from "../data/store.ts";

export function SignIn() {
  const given = place.value.screen === "sign-in" ? place.value.parts : [];
  const [username, setUsername] = useState(given[0] ?? me.value?.username ?? "");
  const [password, setPassword] = useState(given[1] ?? "");
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    // A password in the address is the demonstration's; it does not stay there.
    if (given[1]) {
      history.replaceState(null, "", href("sign-in"));
      button.current?.focus();
    }
  }, []);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError("");
    const wrong = await signIn(username.trim(), password);
    setBusy(false);
    if (wrong) return setError(wrong);
    if (place.value.screen === "sign-in") go(href("today"));
    start();
  };
  return (
    <main class="sign-in">
      <form class="form" onSubmit={(event) => void submit(event)}>
        <p class="brand big">Fornix</p>
        <h1>Notebook</h1>
        {unsent.value.length > 0 && <p class="banner" role="status">{unsent.value.length} changes wait on this device. They are sent when {me.value?.username ?? "you"} signs in.</p>}
        <div class="field">
          <label class="label" for="username">User name</label>
          <input id="username" class="input" autocomplete="username" autocapitalize="none" spellcheck={false} required value={username} onInput={(event) => setUsername(event.currentTarget.value)} />
        </div>
        <div class="field">
          <label class="label" for="password">Password</label>
          <input id="password" class="input" type="password" autocomplete="current-password" required value={password} onInput={(event) => setPassword(event.currentTarget.value)} />
        </div>
        {error && <p class="error" role="alert">{error}</p>}
        <button ref={button} class="primary wide" disabled={busy}>{busy ? "Signing in…" : "Sign in"}</button>
        <p class="muted small">Your lab’s animals are then kept on this device, and work without a network. Sign out removes them.</p>
      </form>
    </main>
  );
}

export function Account() {
  const who = me.value;
  const leave = async (): Promise<void> => {
    if (unsent.value.length && !confirm(`${unsent.value.length} changes are not sent yet and would be lost. Sign out?`)) return;
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
        <button type="button" class="button" onClick={() => void leave()}>Sign out</button>
        <a class="button" href={href("keys")}>Keys</a>
        <a class="button" href={href("notifications")}>Notifications</a>
      </p>
    </>
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
