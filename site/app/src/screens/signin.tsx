// Sign in: by a password, or by the institute's provider.
import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { unsent } from "../data/outbox.ts";
import { holder } from "../data/api.ts";
import { leaveFor, offered } from "../data/provider.ts";
import { recallSeats, renew, seats } from "../data/seats.ts";
import { me, signIn } from "../data/session.ts";
import { start } from "../data/sync.ts";
import { go, href, place } from "../parts/router.ts";

/** What went wrong at the provider that somebody comes back from. */
export const refusal = signal("");

export function SignIn() {
  const given = place.value.screen === "sign-in" ? place.value.parts : [];
  const [username, setUsername] = useState(given[0] ?? me.value?.username ?? "");
  const [password, setPassword] = useState(given[1] ?? "");
  const [error, setError] = useState(refusal.value);
  const [busy, setBusy] = useState(false);
  const [offer, setOffer] = useState<Awaited<ReturnType<typeof offered>>>(undefined);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    // A password in the address is the demonstration's; it does not stay there.
    if (given[1]) {
      history.replaceState(null, "", href("sign-in"));
      button.current?.focus();
    }
    void offered().then(setOffer);
  }, []);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError("");
    const name = username.trim();
    const other = name !== holder.value && seats.value.some((each) => each.username === name);
    const wrong = await (other ? renew(name, password) : signIn({ username: name, password }));
    setBusy(false);
    if (wrong) return setError(wrong);
    await recallSeats();
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
        {offer && <button type="button" class="button wide" onClick={() => void leaveFor(offer)}>Sign in with {new URL(offer.authorization_endpoint).hostname}</button>}
        <p class="muted small">Your lab’s animals are then kept on this device, and work without a network. Sign out removes them.</p>
      </form>
    </main>
  );
}
