// The locked device: who is it? A name, then a PIN.
import { useEffect, useRef, useState } from "preact/hooks";
import { unsent } from "../data/outbox.ts";
import { enter, enterByPassword, PIN, seats } from "../data/seats.ts";
import { me } from "../data/session.ts";

interface PinProps {
  label: string;
  value: string;
  onChange: (pin: string) => void;
  error: string;
  focused?: boolean;
}

export function PinField({ label, value, onChange, error, focused }: PinProps) {
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => void (focused && box.current?.focus()), [focused]);
  return (
    <div class="field">
      <label class="label" for="pin">{label}</label>
      <input ref={box} id="pin" class="input pin" type="password" inputMode="numeric" pattern="[0-9]*" maxLength={8} autocomplete="off" value={value} aria-invalid={!!error || undefined} aria-describedby={error ? "pin-error" : undefined} onInput={(event) => onChange(event.currentTarget.value.replaceAll(/\D/g, ""))} />
      {error && <p class="error" id="pin-error" role="alert">{error}</p>}
    </div>
  );
}

export function Lock() {
  const last = me.value?.username ?? "";
  const [who, setWho] = useState(seats.value.length === 1 ? seats.value[0]!.username : "");
  const [pin, setPin] = useState("");
  const [password, setPassword] = useState<string | undefined>(undefined);
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const pick = (name: string): void => {
    setWho(name);
    setPin("");
    setPassword(undefined);
    setError("");
  };
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (!PIN.test(pin)) return setError("Four to eight digits.");
    setBusy(true);
    const wrong = await (password === undefined ? enter(who, pin) : enterByPassword(who, password, pin));
    setBusy(false);
    setError(wrong);
    if (wrong) setPin("");
  };
  return (
    <main class="sign-in">
      <div class="form">
        <p class="brand big">Fornix</p>
        <h1>{who || "Who is it?"}</h1>
        {unsent.value.length > 0 && <p class="muted small" role="status">{unsent.value.length} to send. They are sent while the device is locked, too.</p>}
        {!who && (
          <ul class="plain seats">
            {seats.value.map((each) => <li key={each.username}><button type="button" class="button wide" onClick={() => pick(each.username)}>{each.username}{each.username === last && <span class="muted small"> last here</span>}</button></li>)}
          </ul>
        )}
        {who && (
          <form class="form" onSubmit={(event) => void submit(event)}>
            {password !== undefined && (
              <div class="field">
                <label class="label" for="lock-password">Password</label>
                <input id="lock-password" class="input" type="password" autocomplete="current-password" required value={password} onInput={(event) => setPassword(event.currentTarget.value)} />
              </div>
            )}
            <PinField label={password === undefined ? "PIN" : "New PIN"} value={pin} onChange={setPin} error={error} focused={password === undefined} />
            <button class="primary wide" disabled={busy}>Go on</button>
            <p class="actions tight">
              {seats.value.length > 1 && <button type="button" class="quiet" onClick={() => pick("")}>Somebody else</button>}
              {password === undefined && <button type="button" class="quiet" onClick={() => { setPassword(""); setPin(""); setError(""); }}>By password</button>}
            </p>
          </form>
        )}
      </div>
    </main>
  );
}
