// What is around every screen: navigation, search, how the device stands with the server.
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { online, stranger } from "../data/api.ts";
import { groups, stuck, unsent } from "../data/outbox.ts";
import { lock, seats } from "../data/seats.ts";
import { lab, me } from "../data/session.ts";
import { loaded, newer, replica, syncError, syncedAt } from "../data/sync.ts";
import { saidTime } from "../data/time.ts";
import { toast, undo } from "../data/undo.ts";
import { Icon } from "./icons.tsx";
import { DESTINATIONS, TABS } from "./nav.ts";
import { href, place } from "./router.ts";
import { search, startSearch } from "./searching.ts";
import { Sheet } from "./sheet.tsx";

const GROUPS = ["Every day", "Colony", "Notebook", "Lab"] as const;

function Link({ screen, label, icon }: { screen: string; label: string; icon?: string }) {
  const here = place.value.screen === screen;
  return (
    <a href={href(screen)} aria-current={here ? "page" : undefined}>
      {icon && <Icon name={icon} />}
      <span>{label}</span>
    </a>
  );
}

export function Links() {
  return (
    <>
      {GROUPS.map((group) => (
        <section key={group} class="nav-group">
          <h2>{group}</h2>
          {DESTINATIONS.filter((each) => each.group === group).map((each) => (
            <Link key={each.screen} screen={each.screen} label={each.label} />
          ))}
        </section>
      ))}
    </>
  );
}

/** How the device stands: saved, waiting, offline, or in need of somebody. */
export function SyncChip() {
  const waits = unsent.value.length;
  const stops = stuck.value.length;
  const [tone, icon, said] = stops
    ? ["bad", "alert", `${stops} need${stops === 1 ? "s" : ""} you`]
    : stranger.value
      ? ["warn", "alert", "Sign in"]
      : waits
        ? ["warn", online.value ? "clock" : "off", `${waits} to send`]
        : online.value
          ? ["", "check", "Saved"]
          : ["", "off", "Offline"];
  return (
    <a class={`sync ${tone}`} href={stranger.value ? href("sign-in") : href("outbox")} aria-label={`${said}. Show what waits.`}>
      <Icon name={icon!} />
      <span>{said}</span>
    </a>
  );
}

export function Shell({ children }: { children: ComponentChildren }) {
  const waits = groups.value.length;
  const Search = search.value;
  useEffect(() => {
    const ask = (event: BeforeUnloadEvent): void => {
      // Nothing is lost by leaving; only a person who thinks it was sent would be surprised.
      if (waits && !online.value) event.preventDefault();
    };
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [waits]);
  return (
    <div class="frame">
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>To the content</a>
      <nav class="side" aria-label="Screens">
        <a class="brand" href={href("today")}>Fornix <span class="muted">{lab.value}</span></a>
        <Links />
        <p class="who muted small">
          {me.value?.username}
          <br />
          <a href={href("account")}>Account</a> · <a href="../">Results site</a>
        </p>
      </nav>
      <div class="column">
        <header class="top">
          <a class="brand only-phone" href={href("today")}>Fornix</a>
          <button type="button" class="search-open" onClick={startSearch} aria-keyshortcuts="/" aria-label="Search">
            <Icon name="search" />
            <span>Search</span>
          </button>
          {seats.value.length > 0 && <button type="button" class="person" onClick={() => void lock()} aria-label={`${me.value?.username}. Lock, or somebody else`}><Icon name="person" /><span>{me.value?.username}</span></button>}
          <SyncChip />
        </header>
        {newer.value && (
          <p class="banner" role="status">
            A newer notebook is there. <button class="button" onClick={() => location.reload()}>Load it</button>
          </p>
        )}
        {syncError.value && <p class="banner bad" role="status">{syncError.value}</p>}
        <main id="main" tabIndex={-1}>
          {replica.value === "loading" && !loaded.value ? <First /> : children}
        </main>
      </div>
      <nav class="tabs" aria-label="Main screens">
        {TABS.map((each) => (
          <Link key={each} screen={each} icon={each} label={DESTINATIONS.find((one) => one.screen === each)!.label.split(" ")[0]!} />
        ))}
        <Link screen="more" icon="more" label="More" />
      </nav>
      <Notice />
      {Search && <Search />}
      <Sheet />
    </div>
  );
}

function First() {
  return (
    <div class="empty" role="status">
      <p>Fetching the lab’s animals. This is done once.</p>
    </div>
  );
}

function Notice() {
  const now = toast.value;
  return (
    <div class="toasts" role="status" aria-live="polite">
      {now && (
        <div class={`toast ${now.tone}`}>
          <span>{now.text}</span>
          {now.group && (
            <button type="button" class="toast-undo" aria-keyshortcuts="u" onClick={() => void undo(now.group!)}>Undo</button>
          )}
        </div>
      )}
    </div>
  );
}

export function More() {
  return (
    <>
      <h1>More</h1>
      <div class="more"><Links /></div>
      <p class="muted small">
        {me.value?.username} · {lab.value} · <a href={href("account")}>Account</a> · <a href={href("keys")}>Keys</a> · <a href="../">Results site</a>
        {syncedAt.value && <><br />As of {saidTime(syncedAt.value)}</>}
      </p>
    </>
  );
}
