// What only members of a lab see on a subject's page: water, weight and the predicted training
// time. It is fetched from the API with the member's own token; nothing of it is on the site.

import { ask, api, signedIn, signInForm, signOut } from "./account.js";
import { element, fixed } from "./common.js";
import { draw, plot } from "./figure.js";

const { Plot } = globalThis;
const title = () => element("h2", {}, "Water, weight and prediction");

export function member(holder, subject) {
  if (!api) return holder.remove();
  holder.classList.add("panel");
  if (signedIn()) show(holder, subject);
  else signIn(holder, subject);
}

function signIn(holder, subject, problem = "") {
  holder.replaceChildren(title(), element("p", {}, "For members of the lab. They come from the API and are not part of this site."), ...signInForm(() => show(holder, subject), problem));
}

// The answer of a route; null where there is nothing.
async function about(route, subject) {
  try {
    return await (await ask(`/${route}/${encodeURIComponent(subject.id || subject.nickname)}`)).json();
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

async function show(holder, subject) {
  let water, prediction;
  try {
    [water, prediction] = await Promise.all([
      about("water-requirement", subject),
      about("training-prediction", subject).catch((error) => {
        if (error.status === 401 || error.status === 403) throw error;
        return null;
      }),
    ]);
  } catch (error) {
    signOut();
    return signIn(holder, subject, error.message);
  }
  const out = element("button", { type: "button", class: "button", onclick: () => {
    signOut();
    signIn(holder, subject);
  } }, "Sign out");
  holder.replaceChildren(title(), out);
  if (prediction) holder.append(chances(prediction));
  const records = (water?.records ?? []).filter((r) => r.weighing_at || r.given_water_total);
  if (!records.length) {
    holder.append(element("p", {}, "There are no weights and no water on record."));
    return;
  }
  for (const [id, title] of [["weight", "Weight"], ["water", "Water"]])
    holder.append(element("figure", { id, class: "wide", "aria-labelledby": `${id}-title` }, element("figcaption", {}, element("h2", { id: `${id}-title` }, title)), element("div", { class: "plot" })));
  const days = records.map((r) => ({ ...r, at: new Date(`${String(r.date).slice(0, 10)}T00:00:00Z`) }));
  draw("weight", (width, c) => weight(width, c, days), () => ({ columns: ["Date", "Weight (g)", "Expected (g)", "%"], rows: days.map((d) => [d.date, fixed(d.weighing_at, 1), fixed(d.expected_weight, 1), d.weighing_at ? fixed(d.percentage_weight, 0) : "–"]) }));
  draw("water", (width, c) => waters(width, c, days), () => ({ columns: ["Date", "Reward (ml)", "Supplement (ml)", "Expected (ml)"], rows: days.map((d) => [d.date, fixed(d.given_water_reward, 2), fixed(d.given_water_supplement, 2), fixed(d.expected_water, 2)]) }));
}

const base = { marginLeft: 66, x: { type: "utc", label: null } };

// A weight stands on the day it was measured; between, and after the last, nothing is known.
function weight(width, c, days) {
  const weighed = days.filter((d) => d.weighing_at);
  const expected = days.filter((d) => d.expected_weight);
  const at = (share) => (d) => (d.expected_weight - d.implant_weight) * share + d.implant_weight;
  const kinds = [[1, "expected", c.muted], [0.8, "80 %", c.right], [0.7, "70 %", c.error]];
  return plot(width, {
    ...base, height: 240, marginRight: 64, y: { label: "Weight (g)", labelAnchor: "center", labelArrow: "none", nice: true },
    marks: [
      ...kinds.map(([share, , colour]) => Plot.line(expected, { x: "at", y: at(share), stroke: colour, strokeDasharray: share < 1 ? "4,3" : null })),
      ...kinds.map(([share, name, colour]) => Plot.text(expected.slice(-1), { x: "at", y: at(share), text: () => name, textAnchor: "start", dx: 6, fill: colour, fontSize: 11 })),
      Plot.line(weighed, { x: "at", y: "weighing_at", stroke: c.faint, strokeWidth: 1 }), Plot.dot(weighed, { x: "at", y: "weighing_at", r: 3, fill: c.ink }),
      Plot.tip(weighed, Plot.pointerX({ x: "at", y: "weighing_at", fill: c.paper, stroke: c.rule, title: (d) => `${String(d.date).slice(0, 10)}\n${fixed(d.weighing_at, 1)} g, ${fixed(d.percentage_weight, 0)} % of expected` })),
    ],
  });
}

function waters(width, c, days) {
  const kinds = [["given_water_reward", "reward", c.left], ["given_water_supplement", "supplement", c.even]];
  const given = days.flatMap((d) => kinds.map(([name, kind]) => ({ at: d.at, kind, ml: d[name] ?? 0 }))).filter((g) => g.ml > 0);
  return plot(width, {
    ...base, height: 200, y: { label: "Water (ml)", labelAnchor: "center", labelArrow: "none", nice: true, zero: true },
    marks: [
      Plot.rectY(given, Plot.stackY({ x: "at", y: "ml", interval: "day", fill: (g) => kinds.find(([, kind]) => kind === g.kind)[2] })),
      Plot.line(days.filter((d) => d.expected_water > 0), { x: "at", y: "expected_water", stroke: c.ink, strokeDasharray: "4,3" }), Plot.ruleY([0], { stroke: c.muted }),
      Plot.text(["bars: reward (blue), supplement (grey); line: expected"], { frameAnchor: "top-right", dy: -14, fill: c.muted, fontSize: 11 }),
    ],
  });
}

function chances(prediction) {
  const box = element("div", {}, element("h3", {}, "Predicted training time"));
  if (prediction.why_not) {
    box.append(element("p", {}, `No prediction: ${prediction.why_not}.`));
  } else {
    const rows = Object.entries(prediction.probabilities).map(([quartile, p]) => element("tr", {}, element("th", { scope: "row" }, quartile), element("td", { class: "num" }, `${Math.round(100 * p)} %`), element("td", {}, element("meter", { value: p, min: 0, max: 1, "aria-label": quartile }))));
    box.append(
      element("p", {}, `Most likely ${prediction.quartile}: ${prediction.range[0]} to ${prediction.range[1]} training days in all. ${prediction.days_so_far} so far.`),
      element("table", {}, element("tbody", {}, ...rows)));
  }
  if (prediction.statement) box.append(element("p", {}, prediction.statement));
  return box;
}
