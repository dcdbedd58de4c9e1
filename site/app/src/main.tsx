// The start: what the device keeps, then the screens, then the server.
import { signal } from "@preact/signals";
import { type ComponentType, render } from "preact";
import { stranger } from "./data/api.ts";
import { loadForms } from "./data/forms.ts";
import { load, onAnswer } from "./data/outbox.ts";
import { me, recall } from "./data/session.ts";
import { follow, pull, replica, restore, start } from "./data/sync.ts";
import { tell } from "./data/undo.ts";
import { recallWater } from "./data/water.ts";
import { Empty } from "./parts/empty.tsx";
import "./parts/keys.ts";
import { href, place } from "./parts/router.ts";
import { More, Shell } from "./parts/shell.tsx";
import { Mice } from "./screens/mice.tsx";
import { SignIn } from "./screens/signin.tsx";
import { Today } from "./screens/today.tsx";
import { Weigh } from "./screens/weigh.tsx";

type Screen = ComponentType;

const ready: Record<string, Screen> = { today: Today, weigh: Weigh, mice: Mice, more: More };

/** Screens that are fetched when they are first wanted, and all of them when there is time. */
const later: Record<string, () => Promise<Screen>> = {
  mouse: async () => (await import("./screens/mouse.tsx")).Mouse,
  litters: async () => (await import("./screens/litters.tsx")).Litters,
  litter: async () => (await import("./screens/litters.tsx")).Litter,
  genotyping: async () => (await import("./screens/genotyping.tsx")).Genotyping,
  breeding: async () => (await import("./screens/breeding.tsx")).Breeding,
  pair: async () => (await import("./screens/breeding.tsx")).Pair,
  cages: async () => (await import("./screens/cages.tsx")).Cages,
  cage: async () => (await import("./screens/cages.tsx")).Cage,
  cull: async () => (await import("./screens/cull.tsx")).Cull,
  cards: async () => (await import("./print/cards.tsx")).Cards,
  lists: async () => (await import("./screens/lists.tsx")).Lists,
  changes: async () => (await import("./screens/changes.tsx")).ChangesScreen,
  outbox: async () => (await import("./screens/outbox.tsx")).Outbox,
  account: async () => (await import("./screens/signin.tsx")).Account,
  keys: async () => (await import("./screens/signin.tsx")).Keys,
};

const arrived = signal(0);

async function bring(name: string): Promise<void> {
  if (ready[name] || !later[name]) return;
  ready[name] = await later[name]();
  arrived.value++;
}

function App() {
  void arrived.value;
  if (!me.value || place.value.screen === "sign-in" || (stranger.value && replica.value !== "there")) return <SignIn />;
  const { screen } = place.value;
  const Found = ready[screen];
  if (!Found && later[screen]) void bring(screen);
  return (
    <Shell>
      {Found ? <Found /> : later[screen] ? <p class="muted" role="status">…</p> : <Empty title="There is no such page"><a href={href("today")}>Today</a></Empty>}
    </Shell>
  );
}

async function begin(): Promise<void> {
  await loadForms();
  await recall();
  await restore();
  await recallWater();
  await load();
  onAnswer(async (group) => {
    if (group.state === "done") await pull();
    else tell(`Not saved: ${group.what}. ${group.message ?? ""}`, undefined, "bad");
  });
  render(<App />, document.getElementById("app")!);
  if (me.value) start();
  else void follow;
  if ("serviceWorker" in navigator) void navigator.serviceWorker.register("sw.js");
  void navigator.storage?.persist?.();
  const rest = (): void => void Object.keys(later).reduce((before, name) => before.then(() => bring(name)), Promise.resolve());
  if ("requestIdleCallback" in window) requestIdleCallback(rest, { timeout: 4000 });
  else setTimeout(rest, 1500);
}

void begin();
