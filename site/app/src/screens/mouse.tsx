// One animal: what it is, what happened to it, its weights and why they mean what they mean.
import { useEffect, useState } from "preact/hooks";
import { get, Refused } from "../data/api.ts";
import { type FieldForm, form, words } from "../data/forms.ts";
import { called, CLOSED, list, num, type Row, text } from "../data/model.ts";
import { type Judged, judged } from "../data/results.ts";
import {
  cageMates, cageOf, genotype, history, lastWeight, lives, name, of, openRestriction, sessions, waterings, weighings,
} from "../data/select.ts";
import { row, rows, waiting } from "../data/store.ts";
import { addDays, age, day, said, saidTime, today } from "../data/time.ts";
import { status } from "../data/water.ts";
import { Form } from "../forms/form.tsx";
import { type Day, readDays, WeightChart } from "../parts/chart.tsx";
import { Empty } from "../parts/empty.tsx";
import { Figures } from "../parts/figures.tsx";
import { Pedigree } from "../parts/pedigree.tsx";
import { href, place } from "../parts/router.ts";
import { closeSheet, openSheet } from "../parts/sheet.tsx";
import { Signatures } from "../parts/signatures.tsx";
import { Timeline } from "../parts/timeline.tsx";
import { ACTIONS, may, runAction } from "./actions.tsx";
import { Changes } from "./changes.tsx";

const TABS: [string, string][] = [["", "Timeline"], ["water", "Weight & water"], ["sessions", "Training"], ["family", "Family"], ["details", "Details"], ["changes", "Changes"]];

export function Mouse() {
  const nickname = place.value.parts[0] ?? "";
  const mouse = row("subject", nickname);
  const tab = place.value.query.get("tab") ?? "";
  if (!mouse)
    return <Empty whole title={`${nickname} is not on this device`}>The device keeps living animals and those of the last 90 days. <a href={href("lists", "subjects")}>Lists</a> reads the server.</Empty>;
  return (
    <>
      <Head mouse={mouse} />
      <nav class="tabbar" aria-label={`About ${nickname}`}>
        {TABS.map(([key, label]) => (
          <a key={key} href={href("mouse", nickname) + (key ? `?tab=${key}` : "")} aria-current={tab === key ? "page" : undefined}>{label}</a>
        ))}
      </nav>
      {tab === "" && <Timeline entries={history(nickname)} />}
      {tab === "water" && <Water mouse={mouse} />}
      {tab === "sessions" && <Training mouse={mouse} />}
      {tab === "family" && <Pedigree mouse={mouse} />}
      {tab === "details" && <Details mouse={mouse} />}
      {tab === "changes" && <Changes kind="subject" record={nickname} />}
    </>
  );
}

function Head({ mouse }: { mouse: Row }) {
  const known = status.value.get(name(mouse));
  const last = lastWeight(name(mouse));
  const cage = cageOf(mouse);
  const mates = (cageMates.value.get(cage) ?? []).map(name).filter((each) => each !== name(mouse));
  const zygosities = genotype(mouse);
  const [more, setMore] = useState(false);
  const fitting = ACTIONS.filter((each) => may(each, mouse));
  const shown = more ? fitting : fitting.slice(0, 4);
  const facts: [string, preact.ComponentChildren][] = [
    ["Sex and age", `${{ M: "♂ male", F: "♀ female" }[text(mouse.sex)] ?? "sex unknown"}, ${age(mouse.birth_date, mouse.death_date) || "age unknown"}`],
    ["Weight", last ? <>{text(last.weight)} g {known && known.percentage > 0 && <span class={`pct ${known.percentage < known.min_percentage ? "low" : ""}`}>{known.percentage.toFixed(0)} %</span>} <span class="muted small">{saidTime(last.date_time)}</span></> : "not weighed"],
    ["Cage", <>{cage || "none"}{mates.length > 0 && <span class="muted small"> with {mates.map((each, i) => <span key={each}>{i > 0 && ", "}<a href={href("mouse", each)}>{each}</a></span>)}</span>}</>],
    ["Line", text(mouse.line) || "–"],
    ["Genotype", zygosities.length ? zygosities.map((each) => <span key={each.allele} class="name">{each.allele} {each.zygosity} <span class="muted small">{each.by && each.by !== "manual" ? `by ${each.by}` : ""}</span></span>) : mouse.to_be_genotyped ? "to be genotyped" : "–"],
    ["Responsible", text(mouse.responsible_user) || "–"],
    ["Protocol", text(mouse.protocol_number) || "–"],
    ["Severity", text(mouse.actual_severity) || "–"],
  ];
  return (
    <header class="mouse-head">
      <div class="page-head">
        <div>
          <h1>{called(name(mouse))} {waiting("subject", name(mouse)) && <span class="badge warn">not sent yet</span>}</h1>
          <p class="badges">
            {lives(mouse) ? null : <span class="badge">died {said(mouse.death_date)}</span>}
            {openRestriction(name(mouse)) && <span class="badge accent">restricted since {said(openRestriction(name(mouse))!.start_time)}</span>}
            {!!mouse.to_be_culled && <span class="badge bad">to be culled</span>}
            {!!mouse.to_be_genotyped && <span class="badge">to be genotyped</span>}
            {rows("subject-tag").filter((each) => list(each.subjects).includes(name(mouse))).map((each) => <a key={text(each.name)} class="badge" href={href("mice") + `?tag=${encodeURIComponent(text(each.name))}`}>{text(each.name)}</a>)}
          </p>
        </div>
        {lives(mouse) && <a class="primary" href={href("weigh") + `?which=mouse:${encodeURIComponent(name(mouse))}`}>Weigh</a>}
      </div>
      {mouse[CLOSED] ? <p class="muted" role="note">{mouse.responsible_user ? `${text(mouse.responsible_user)}, whom they let, ` : ""}managers and those who keep the colony may change it. Everybody weighs it and gives it water.</p> : null}
      <dl class="facts">
        {facts.map(([label, said_]) => <div key={label}><dt>{label}</dt><dd>{said_}</dd></div>)}
      </dl>
      <div class="actions">
        {shown.map((each) => <button key={each.name} type="button" class={`button ${each.tone ?? ""}`} onClick={() => runAction(each, [mouse])}>{each.label}</button>)}
        {fitting.length > 4 && <button type="button" class="quiet" aria-expanded={more} onClick={() => setMore(!more)}>{more ? "Fewer" : "More…"}</button>}
      </div>
    </header>
  );
}

interface Step {
  quantity: string;
  value: unknown;
  unit: string;
  how: string;
}

/** Days of an animal as the device knows them. Of thresholds it knows today's alone. */
function localDays(mouse: Row): Day[] {
  const nickname = name(mouse);
  const known = status.value.get(nickname);
  const found = new Map<string, Day>();
  const of_ = (on: string): Day => {
    let each = found.get(on);
    if (!each) {
      const now = on === today() && !!known;
      each = { date: on, weight: null, expected: now ? known.expected_weight || null : null, min: now ? known.min_weight || null : null, water: null, restricted: now };
      found.set(on, each);
    }
    return each;
  };
  for (const each of of(weighings, nickname)) of_(day(each.date_time)).weight = num(each.weight);
  for (const each of of(waterings, nickname)) {
    const one = of_(day(each.date_time));
    one.water = (one.water ?? 0) + (num(each.water_administered) ?? 0);
  }
  return [...found.values()].sort((a, b) => a.date.localeCompare(b.date));
}

const SHOWN_DAYS = 90;
/** Days of the curve until all are asked for. */

const HELD_DAYS = 59;
/** Days of which the device holds all weighings (functions/api/replica.py). */

interface Requirement {
  records: Row[];
  steps?: Step[];
}

function Water({ mouse }: { mouse: Row }) {
  const nickname = name(mouse);
  const [fetched, setFetched] = useState<{ days: Day[]; all: boolean } | undefined>(undefined);
  const [on, setOn] = useState(today());
  const [known, setKnown] = useState<Record<string, Step[]>>({});
  const [steps, setSteps] = useState<Step[] | string>("");
  const [told, setTold] = useState("");
  // The server says for each day the last weight known; a dot is for a day on which it was weighed.
  const weighedOn = new Set(of(weighings, nickname).map((each) => day(each.date_time)));
  const held = addDays(today(), -HELD_DAYS);
  const days = fetched?.days.map((each) => (each.date > held && !weighedOn.has(each.date) ? { ...each, weight: null } : each)) ?? localDays(mouse);
  // Each day's thresholds, and why today's are what they are, in one request.
  const ask = (all: boolean): void => {
    const since = all ? "" : `&start_date=${addDays(today(), -SHOWN_DAYS)}`;
    void get<Requirement>(`/water-requirement/${encodeURIComponent(text(mouse.id) || nickname)}?explain=${today()}${since}`)
      .then((found) => {
        setFetched({ days: readDays(found.records), all });
        setKnown((now) => ({ ...now, [today()]: found.steps ?? [] }));
        setTold("");
      })
      .catch((error: unknown) => setTold(error instanceof Refused && error.status === 0 ? "Each day’s thresholds are fetched when there is a connection." : error instanceof Refused ? error.message : String(error)));
  };
  const weighed = of(weighings, nickname).length + of(waterings, nickname).length;
  useEffect(() => ask(fetched?.all ?? false), [nickname, weighed]);
  const explain = (date: string): void => {
    setOn(date);
    if (known[date]) return setSteps(known[date]);
    setSteps("…");
    void get<{ steps: Step[] }>(`/water-explanation/${encodeURIComponent(text(mouse.id) || nickname)}?date=${date}`)
      .then((found) => setSteps(found.steps))
      .catch((error: unknown) => setSteps(error instanceof Refused ? error.message : String(error)));
  };
  return (
    <section>
      <WeightChart days={days} onDay={explain} chosen={on} />
      {told && <p class="muted small" role="status">{told}</p>}
      <div class="why">
        <button type="button" class="button" onClick={() => explain(on)}>Why these numbers?</button>
        {fetched && !fetched.all && <button type="button" class="quiet" onClick={() => ask(true)}>All days</button>}
        <input class="input" type="date" aria-label="Of the day" value={on} onChange={(event) => event.currentTarget.value && explain(event.currentTarget.value)} />
      </div>
      {typeof steps === "string" ? (
        steps && <p class="muted" role="status">{steps}</p>
      ) : (
        <table class="table explanation">
          <caption>How each number of {said(on)} came about</caption>
          <thead><tr><th scope="col">Quantity</th><th scope="col">Value</th><th scope="col">How</th></tr></thead>
          <tbody>
            {steps.map((each) => (
              <tr key={each.quantity}>
                <th scope="row">{each.quantity}</th>
                <td>{typeof each.value === "number" ? Math.round(1000 * each.value) / 1000 : typeof each.value === "boolean" ? (each.value ? "yes" : "no") : text(each.value)} {each.unit}</td>
                <td class="wraps">{each.how}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <h2>Given lately</h2>
      <ul class="plain">
        {of(waterings, nickname).slice(-10).reverse().map((each) => (
          <li key={text(each.id)}>{saidTime(each.date_time)}: {each.adlib ? "ad libitum" : `${text(each.water_administered)} ml`} <span class="muted">{text(each.water_type)} {text(each.user)}</span></li>
        ))}
      </ul>
    </section>
  );
}

/** A row of the nightly analysis (shared/science/cohort/predictor.py). */
interface Prediction {
  days_so_far: number;
  probabilities: Record<string, number> | null;
  quartile: string | null;
  range: [number, number] | string | null;
  features_missing: string[];
  why_not: string | null;
  statement: string;
}

function Training({ mouse }: { mouse: Row }) {
  const nickname = name(mouse);
  const found = of(sessions, nickname).slice().reverse();
  const [prediction, setPrediction] = useState<Prediction | string>("");
  const [drawn, setDrawn] = useState(false);
  useEffect(() => {
    void get<Prediction>(`/training-prediction/${encodeURIComponent(text(mouse.id) || nickname)}`)
      .then(setPrediction)
      .catch((error: unknown) => setPrediction(error instanceof Refused ? (error.status === 404 ? "No prediction yet: it is made in the night after the fifth training day." : error.message) : String(error)));
  }, [nickname]);
  return (
    <section>
      <Status nickname={nickname} lab={text(mouse.lab)} onFound={() => setDrawn(true)} />
      <Figures kind="subjects" of={nickname} lab={text(mouse.lab)} called={called(nickname)} drawn={drawn} />
      <h2>Predicted training time</h2>
      {typeof prediction === "string" ? <p class="muted">{prediction || "…"}</p> : <Predicted found={prediction} />}
      <h2>Sessions</h2>
      {found.length ? (
        <ul class="plain">
          {found.map((each) => {
            const trials = num(each.n_trials);
            const correct = num(each.n_correct_trials);
            return (
              <li key={text(each.id)}>
                <a href={href("session", text(each.id))}>{saidTime(each.start_time)}</a> {text(each.task_protocol)}
                {trials ? <span class="muted"> {trials} trials{correct ? `, ${Math.round((100 * correct) / trials)} % correct` : ""}</span> : null}
              </li>
            );
          })}
        </ul>
      ) : <p class="muted">No sessions on this device.</p>}
    </section>
  );
}

function Status({ nickname, lab, onFound }: { nickname: string; lab: string; onFound: () => void }) {
  const [found, setFound] = useState<Judged | string>("");
  useEffect(() => {
    let live = true;
    void judged(nickname, lab)
      .then((answer) => live && (answer && onFound(), setFound(answer ?? "No status yet: it is judged in the night after the first session.")))
      .catch((error: unknown) => live && setFound(error instanceof Refused ? error.message : String(error)));
    return () => void (live = false);
  }, [nickname, lab]);
  if (typeof found === "string") return <><h2>Training status</h2><p class="muted">{found || "…"}</p></>;
  const met = found.next?.criteria.filter((each) => each.pass).length ?? 0;
  const since = found.first.find((each) => each.status === found.status)?.date;
  return (
    <>
      <h2>Training status</h2>
      <p class="status"><strong>{found.status}</strong>{since && <span class="muted"> since {said(since)}</span>}{found.days_to_trained !== null && <>, trained after {found.days_to_trained} days and {found.sessions_to_trained} sessions</>}</p>
      {found.next && (
        <details>
          <summary>Next: {found.next.status}, {met} of {found.next.criteria.length} criteria met</summary>
          <ul class="plain small">{found.next.criteria.map((each) => <li key={each.name}><span class={each.pass ? "badge accent" : "badge"}>{each.pass ? "met" : "not yet"}</span> {words(each.name)} <span class="muted">{each.rule}</span></li>)}</ul>
        </details>
      )}
    </>
  );
}

function Predicted({ found }: { found: Prediction }) {
  if (!found.probabilities) return <p class="muted">No prediction: {found.why_not ?? "not enough is known"}.</p>;
  const range = Array.isArray(found.range) ? found.range.join(" to ") : text(found.range);
  return (
    <div class="prediction">
      <p>After {found.days_so_far} days: most likely trained in {range} days.</p>
      {Object.entries(found.probabilities).map(([label, chance]) => (
        <div key={label} class="bar-row">
          <span>{label === found.quartile ? <strong>{label}</strong> : label}</span>
          <meter min={0} max={1} value={chance} aria-label={`${label}: ${Math.round(100 * chance)} percent`} />
          <span>{Math.round(100 * chance)} %</span>
        </div>
      ))}
      {found.features_missing.length > 0 && <p class="muted small">Not known of this mouse: {found.features_missing.join(", ")}.</p>}
      <p class="muted small">{found.statement}</p>
    </div>
  );
}

function shownValue(each: FieldForm, value: unknown): string {
  if (value === null || value === undefined || value === "" || (Array.isArray(value) && !value.length)) return "–";
  if (each.type === "bool") return value ? "yes" : "no";
  if (each.type === "date") return said(value);
  if (each.type === "datetime") return saidTime(value);
  if (each.many) return list(value).join(", ");
  return text(value);
}

function Details({ mouse }: { mouse: Row }) {
  const fields = form("subjects").fields;
  return (
    <section>
      {!mouse[CLOSED] && <button type="button" class="button" onClick={() => openSheet(`Change ${name(mouse)}`, () => <Form path="subjects" row={mouse} recordKey={name(mouse)} onCancel={closeSheet} onDone={closeSheet} fields={fields.filter((each) => !each.read_only && each.name !== "nickname" && each.name !== "json").map((each) => each.name)} />)}>Change</button>}
      <dl class="details">
        {fields.map((each) => <div key={each.name}><dt>{each.label}</dt><dd>{shownValue(each, mouse[each.name])}</dd></div>)}
      </dl>
      <h2>Signatures</h2>
      <Signatures kind="subject" record={name(mouse)} id={text(mouse.id)} />
    </section>
  );
}
