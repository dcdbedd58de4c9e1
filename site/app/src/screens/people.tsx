// The lab's members, who may do what for whom; and what I am told.
import { useEffect, useRef, useState } from "preact/hooks";
import { holder } from "../data/api.ts";
import { field, form } from "../data/forms.ts";
import { list, type Row, text, uuid, type Write } from "../data/model.ts";
import { living, users } from "../data/select.ts";
import { atLeast, me } from "../data/session.ts";
import { rows } from "../data/store.ts";
import { saidTime } from "../data/time.ts";
import { perform, update } from "../data/undo.ts";
import { words } from "../data/forms.ts";
import { Empty } from "../parts/empty.tsx";
import { href } from "../parts/router.ts";
import { add } from "./lists.tsx";

export function People() {
  const count = (name: string): number => living.value.filter((each) => each.responsible_user === name).length;
  return (
    <>
      <header class="page-head"><h1>People</h1>{atLeast(form("users").actions.create) && <button type="button" class="primary" data-new onClick={() => add(form("users"))}>New</button>}</header>
      {users.value.length ? (
        <ul class="rows">
          {users.value.map((each) => {
            const called = [each.first_name, each.last_name].map(text).join(" ").trim();
            const name = text(each.username);
            return (
              <li key={name}>
                <a class="row-main" href={href("lists", "users", name)}>
                  <strong>{called || name}</strong> {called && <span class="muted">{name}</span>}
                  {each.is_stock_manager ? <span class="badge accent">stock manager</span> : null} {each.is_husbandry ? <span class="badge">husbandry</span> : null} {each.role !== "member" ? <span class="badge">{text(each.role)}</span> : null}<br />
                  <span class="muted small">{count(name)} animals{list(each.allowed_users).length ? ` · acts for ${name}: ${list(each.allowed_users).join(", ")}` : ""}</span>
                </a>
                {each.email ? <a class="button small" href={`mailto:${text(each.email)}`}>Write</a> : null}
              </li>
            );
          })}
        </ul>
      ) : <Empty title="No members on this device" />}
    </>
  );
}

const MEANINGS: Record<string, string> = {
  responsible_user_change: "An animal changes hands",
  mouse_underweight: "A weight is near or below its threshold",
  mouse_water: "Water is due",
  mouse_not_weighed: "A restricted animal was not weighed",
  birth_expected: "A birth is expected",
  data_missing: "A session lacks data",
  task_failed: "A task failed",
  queue_old: "Tasks wait for long",
  request: "Animals are asked for",
  licence: "A licence is nearly used up",
};

/** Without a rule people are told of what is theirs. */
const USUAL = "mine";

/** Where a notice leads: to its animal, its session, the task board. */
function Leads({ to }: { to: Row }) {
  return (
    <span class="actions">
      {to.subject ? <a class="button small" href={href("mouse", text(to.subject))}>{text(to.subject)}</a> : null}
      {to.session ? <a class="button small" href={href("session", text(to.session))}>Session</a> : null}
      {to.task ? <a class="button small" href={href("tasks")}>Tasks</a> : null}
      {to.status === "sent" ? <button type="button" class="small" aria-label={`Mark as read: ${text(to.title)}`} onClick={() => void perform("Read a notice", [update("notifications", text(to.id), { status: "read" })])}>Read</button> : null}
    </span>
  );
}

const PAUSE = 2500;
/** Milliseconds after the last choice until all are kept. */

export function Notifications() {
  const mine = rows("notification-rule").filter((each) => each.user === me.value?.username);
  const types = field("notification-rules", "notification_type")?.choices ?? [];
  const scopes = field("notification-rules", "subjects_scope")?.choices ?? [];
  const channels = field("notification-rules", "channel")?.choices ?? [];
  const [changed, setChanged] = useState<Record<string, Row>>({});
  // What was chosen is kept by itself: after a pause, or when one goes elsewhere; all of it in one.
  const pending = useRef(changed);
  pending.current = changed;
  const ruleOf = (type: string): Row => ({ subjects_scope: USUAL, channel: channels[0], ...mine.find((each) => each.notification_type === type), ...changed[type] });
  const set = (type: string, more: Row): void => setChanged({ ...changed, [type]: { ...changed[type], ...more } });
  const save = async (): Promise<void> => {
    const now = pending.current;
    if (!Object.keys(now).length) return;
    pending.current = {};
    const writes = Object.entries(now).map(([type, body]): Write => {
      const rule = mine.find((each) => each.notification_type === type);
      return rule ? update("notification-rules", text(rule.id), body) : { op: "create", resource: "notification-rules", body: { id: uuid(), user: me.value?.username, notification_type: type, ...body } };
    });
    setChanged({});
    await perform("Changed my notifications", writes);
  };
  const saving = useRef(save);
  saving.current = save;
  useEffect(() => {
    const timer = setTimeout(() => void saving.current(), PAUSE);
    return () => clearTimeout(timer);
  }, [changed]);
  useEffect(() => {
    const hide = (): void => void (document.visibilityState === "hidden" && void saving.current());
    document.addEventListener("visibilitychange", hide);
    return () => {
      document.removeEventListener("visibilitychange", hide);
      void saving.current();
    };
  }, []);
  const told = rows("notification").filter((each) => each.user === me.value?.username && Date.parse(text(each.send_at)) <= Date.now()).sort((a, b) => text(b.send_at).localeCompare(text(a.send_at)));
  return (
    <>
      <header class="page-head"><div><h1>Notifications</h1><p class="muted">Of whose animals you are told what. What you choose is saved by itself.</p></div></header>
      {me.value?.username !== holder.value && <p class="warn-text">On a shared device, these are kept for {holder.value} alone. Choose yours on a device of your own.</p>}
      <p class="actions">
        {scopes.map((each) => <button key={each} type="button" class="button" onClick={() => setChanged(Object.fromEntries(types.map((type) => [type, { ...changed[type], subjects_scope: each }])))}>All: {words(each).toLowerCase()}</button>)}
      </p>
      <ul class="rows">
        {types.map((type) => {
          const rule = ruleOf(type);
          return (
            <li key={type} class="rule-row">
              <span id={`about-${type}`}>{MEANINGS[type] ?? words(type)}</span>
              <span class="segments" role="group" aria-labelledby={`about-${type}`}>
                {scopes.map((each) => <button key={each} type="button" aria-pressed={rule.subjects_scope === each} onClick={() => set(type, { subjects_scope: each })}>{words(each)}</button>)}
              </span>
            </li>
          );
        })}
      </ul>
      <h2>Told lately</h2>
      {told.length ? <ul class="rows">{told.slice(0, 50).map((each) => <li key={text(each.id)}><span>{each.status === "read" ? text(each.title) : <strong>{text(each.title)}</strong>}<br /><span class="muted small">{saidTime(each.send_at)} {text(each.message)}</span></span><Leads to={each} /></li>)}</ul> : <p class="muted">Nothing yet.</p>}
    </>
  );
}
