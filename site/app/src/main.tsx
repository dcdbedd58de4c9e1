// The start: what the device keeps, then the screens, then the server.
import { signal } from "@preact/signals";
import { type ComponentType, render } from "preact";
import { stranger } from "./data/api.ts";
import { comeBack } from "./data/provider.ts";
import { locked, recallSeats, watch } from "./data/seats.ts";
import { loadForms } from "./data/forms.ts";
import { load, onAnswer } from "./data/outbox.ts";
import { me, recall } from "./data/session.ts";
import { pull, replica, restore, start } from "./data/sync.ts";
import { keptAs, tell } from "./data/undo.ts";
import { recallWater } from "./data/water.ts";
import { Empty } from "./parts/empty.tsx";
import "./parts/theme.ts";
import "./parts/keys.ts";
import { go, href, place } from "./parts/router.ts";
import { bringSearch } from "./parts/searching.ts";
import { More, Shell } from "./parts/shell.tsx";
import { Lock } from "./screens/lock.tsx";
import { refusal, SignIn } from "./screens/signin.tsx";
import { Today } from "./screens/today.tsx";
import { Weigh } from "./screens/weigh.tsx";

type Screen = ComponentType;

const ready: Record<string, Screen> = { today: Today, weigh: Weigh, more: More };

/** Screens that are fetched when they are first wanted, and all of them when there is time. */
const later: Record<string, () => Promise<Screen>> = {
  mice: async () => (await import("./screens/mice.tsx")).Mice,
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
  surgery: async () => (await import("./screens/surgery.tsx")).Surgery,
  sessions: async () => (await import("./screens/sessions.tsx")).Sessions,
  session: async () => (await import("./screens/sessions.tsx")).Session,
  training: async () => (await import("./screens/sessions.tsx")).Training,
  tasks: async () => (await import("./screens/tasks.tsx")).Tasks,
  requests: async () => (await import("./screens/requests.tsx")).Requests,
  reports: async () => (await import("./screens/reports.tsx")).Reports,
  people: async () => (await import("./screens/people.tsx")).People,
  notifications: async () => (await import("./screens/people.tsx")).Notifications,
  "new-line": async () => (await import("./screens/newline.tsx")).NewLine,
  lists: async () => (await import("./screens/lists.tsx")).Lists,
  changes: async () => (await import("./screens/changes.tsx")).ChangesScreen,
  outbox: async () => (await import("./screens/outbox.tsx")).Outbox,
  account: async () => (await import("./screens/account.tsx")).Account,
  keys: async () => (await import("./screens/account.tsx")).Keys,
};

const arrived = signal(0);
const absent = new Set<string>();

async function bring(name: string): Promise<void> {
  if (ready[name] || !later[name]) return;
  try {
    ready[name] = await later[name]();
    absent.delete(name);
  } catch {
    // No network yet, and not on the device yet: it is asked for again when there is one.
    absent.add(name);
  }
  arrived.value++;
}

async function bringAll(): Promise<void> {
  await bringSearch().catch(() => undefined);
  for (const name of Object.keys(later)) await bring(name);
}

function App() {
  void arrived.value;
  if (!me.value || place.value.screen === "sign-in" || (stranger.value && replica.value !== "there")) return <SignIn />;
  if (locked.value) return <Lock />;
  const { screen } = place.value;
  const Found = ready[screen];
  if (!Found && later[screen] && !absent.has(screen)) void bring(screen);
  return (
    <Shell>
      {Found ? <Found /> : absent.has(screen) ? <Empty whole title="This screen is not on the device yet">It is fetched when there is a connection.</Empty> : later[screen] ? <p class="muted" role="status">…</p> : <Empty whole title="There is no such page"><a href={href("today")}>Today</a></Empty>}
    </Shell>
  );
}

async function begin(): Promise<void> {
  await loadForms();
  await recall();
  await recallSeats();
  await restore();
  await recallWater();
  await load();
  onAnswer(async (group, answer) => {
    keptAs(group.id, answer);
    if (group.state === "done") await pull();
    else tell(`Not saved: ${group.what}. ${group.message ?? ""}`, undefined, "bad");
  });
  const back = await comeBack();
  if (back !== undefined) {
    refusal.value = back;
    if (back) go(href("sign-in"));
    else await recallSeats();
  }
  watch();
  render(<App />, document.getElementById("app")!);
  if (me.value) start();
  if ("serviceWorker" in navigator) void navigator.serviceWorker.register("sw.js");
  void navigator.storage?.persist?.();
  addEventListener("online", () => void bringAll());
  if ("requestIdleCallback" in window) requestIdleCallback(() => void bringAll(), { timeout: 1500 });
  else setTimeout(() => void bringAll(), 800);
}

void begin();
