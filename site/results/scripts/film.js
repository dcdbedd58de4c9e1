// The films of a session's cameras, frame by frame, with wheel and trials beside them. A frame is
// shown by the middle of its time in the film, and which one is seen tells the browser itself.

import { element, fixed, json, root } from "./common.js";
import { colours } from "./figure.js";
import { numbers } from "./npy.js";

const WINDOWS = [1, 2, 5, 10, 30, 120];
const part = (name) => document.getElementById(`film-${name}`);

let about; // films.json
let wheel; // { times, position }
let times; // of the frames of the chosen camera, s
let shown = 0; // number of the frame that is seen
let wanted = null; // that is being sought
const state = { camera: null, w: 5 };
const video = () => part("picture");

export function showFilms(key) {
  const figure = document.getElementById("film");
  const begin = () => start(key).catch(failed);
  if (asked().has("film")) begin();
  else {
    // A film is large: nothing of it is read before somebody gets there.
    const near = new IntersectionObserver((seen) => {
      if (!seen.some((one) => one.isIntersecting)) return;
      near.disconnect();
      begin();
    }, { rootMargin: "200px" });
    near.observe(figure);
  }
}

const asked = () => new URLSearchParams(location.hash.slice(1));

function failed(error) {
  console.error(error);
  document.getElementById("film").setAttribute("data-state", "failed");
  part("state").textContent = `The film cannot be shown: ${error.message}.`;
}

async function start(key) {
  about = await json(key);
  const given = asked();
  state.camera = about.cameras.find((one) => one.camera === given.get("film")) ?? about.cameras[0];
  if (WINDOWS.includes(Number(given.get("w")))) state.w = Number(given.get("w"));
  if (about.wheel) {
    const [t, position] = await Promise.all([numbers(root + about.wheel.times), numbers(root + about.wheel.position)]);
    wheel = { times: t, position };
  }
  controls();
  listen();
  await open(given.has("film") ? Number(given.get("t")) : NaN);
  if (given.has("film")) document.getElementById("film").scrollIntoView();
}

async function open(t) {
  times = await numbers(root + state.camera.times);
  if (!times.length) throw new Error("its frames have no times");
  const film = video();
  const ready = new Promise((resolve, reject) => {
    film.onloadedmetadata = resolve;
    film.onerror = () => reject(new Error(film.error?.message || "the browser cannot play it"));
  });
  film.src = root + state.camera.film;
  await ready;
  film.onerror = () => failed(new Error(film.error?.message || "it broke off"));
  part("scrub").max = times.length - 1;
  watch();
  go(frameAt(Number.isFinite(t) ? t : first()));
}

// The first stimulus that was filmed, else the beginning.
function first() {
  const filmed = (about.trials.stimulus ?? []).find((t) => t != null && t >= times[0] && t <= times.at(-1));
  return filmed ?? times[0];
}

// ---------------------------------------------------------------- frames

const fps = () => times.length / video().duration;

// The last frame that was taken at a moment or before it.
export function lastAt(sorted, t) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= t) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

const frameAt = (t) => lastAt(times, t + 1e-9);

function go(frame) {
  wanted = Math.min(Math.max(frame, 0), times.length - 1);
  video().pause();
  // Its middle: at its border some browsers show the one before.
  video().currentTime = (wanted + 0.5) / fps();
}

const step = (frames) => go((wanted ?? shown) + frames);

function trial(by) {
  const starts = about.trials.stimulus ?? about.trials.start ?? [];
  const now = times[wanted ?? shown];
  const known = starts.filter((t) => t != null && t >= times[0] && t <= times.at(-1));
  const next = by > 0 ? known.find((t) => frameAt(t) > frameAt(now)) : known.findLast((t) => frameAt(t) < frameAt(now));
  if (next != null) go(frameAt(next));
}

// The browser tells the film's time of each frame as it is shown.
function watch() {
  const film = video();
  const seen = (mediaTime) => {
    shown = Math.min(Math.max(Math.floor(mediaTime * fps() + 0.01), 0), times.length - 1);
    if (shown === wanted) wanted = null;
    told();
  };
  if (film.requestVideoFrameCallback) {
    const again = (_, { mediaTime }) => {
      seen(mediaTime);
      film.requestVideoFrameCallback(again);
    };
    film.requestVideoFrameCallback(again);
  } else film.ontimeupdate = film.onseeked = () => seen(film.currentTime);
}

function told() {
  const t = times[shown];
  const starts = about.trials.start ?? about.trials.stimulus ?? [];
  const number = starts.filter((each) => each != null && each <= t).length;
  part("scrub").value = shown;
  part("state").textContent = [
    `Frame ${shown + 1} of ${times.length}, ${fixed(t, 4)} s`,
    ...(number ? [`trial ${number}`] : []),
    ...(state.camera.told ? [state.camera.told] : []),
  ].join(" · ");
  document.getElementById("film").setAttribute("data-state", `${state.camera.camera} ${shown} ${t.toFixed(4)}`);
  if (video().paused) history.replaceState(null, "", `#${new URLSearchParams({ film: state.camera.camera, t: t.toFixed(4), w: state.w })}`);
  draw();
}

// ---------------------------------------------------------------- controls

function controls() {
  const select = (label, options, chosen, change) =>
    element("label", {}, label, element("select", { onchange: (event) => change(event.target.value) }, ...options.map(([value, text]) => element("option", { value, selected: value === chosen }, text))));
  part("controls").replaceChildren(
    select("Camera", about.cameras.map((one) => [one.camera, one.camera]), state.camera.camera, (name) => {
      const t = times[shown];
      state.camera = about.cameras.find((one) => one.camera === name);
      open(t).catch(failed);
    }),
    select("Around", WINDOWS.map((w) => [w, `${w} s`]), state.w, (w) => {
      state.w = Number(w);
      told();
    }),
  );
  const button = (text, act) => element("button", { type: "button", onclick: act }, text);
  document.querySelector("#film .pager").replaceChildren(
    button("Previous trial", () => trial(-1)),
    button("Previous frame", () => step(-1)),
    button("Play or pause", play),
    button("Next frame", () => step(1)),
    button("Next trial", () => trial(1)),
  );
}

function play() {
  wanted = null;
  if (video().paused) video().play().catch(failed);
  else video().pause();
}

function listen() {
  part("scrub").oninput = (event) => go(Number(event.target.value));
  part("beside").onclick = (event) => {
    const box = part("beside").getBoundingClientRect();
    go(frameAt(times[shown] + ((event.clientX - box.left) / box.width - 0.5) * state.w));
  };
  const keys = {
    ArrowLeft: (event) => step(event.shiftKey ? -10 : -1),
    ArrowRight: (event) => step(event.shiftKey ? 10 : 1),
    PageUp: () => trial(-1),
    PageDown: () => trial(1),
    " ": play,
  };
  video().addEventListener("keydown", (event) => {
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key](event);
  });
  video().addEventListener("click", play);
  video().addEventListener("pause", () => times && told());
  globalThis.addEventListener("resize", () => times && draw());
  globalThis.addEventListener("themechange", () => times && draw());
}

// ---------------------------------------------------------------- wheel and trials

function draw() {
  const canvas = part("beside");
  const [width, height, scale] = [canvas.clientWidth, canvas.clientHeight, globalThis.devicePixelRatio || 1];
  if (canvas.width !== Math.round(width * scale)) [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
  const pen = canvas.getContext("2d");
  const c = colours();
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  const [from, to] = [times[shown] - state.w / 2, times[shown] + state.w / 2];
  const x = (t) => ((t - from) / (to - from)) * width;
  const line = (t, colour, dashed) => {
    pen.strokeStyle = colour;
    pen.setLineDash(dashed ? [4, 3] : []);
    pen.beginPath();
    pen.moveTo(x(t), 16);
    pen.lineTo(x(t), height);
    pen.stroke();
  };
  const visible = (name) => (about.trials[name] ?? []).map((t, i) => [t, i]).filter(([t]) => t != null && t >= from && t <= to);
  pen.lineWidth = 1.3;
  for (const [t] of visible("stimulus")) line(t, c.accent);
  for (const [t] of visible("movement")) line(t, c.muted, true);
  for (const [t, i] of visible("feedback")) line(t, about.correct[i] ? c.correct : c.error);
  pen.setLineDash([]);
  pen.fillStyle = c.muted;
  pen.font = "11px system-ui, sans-serif";
  for (const [t, i] of visible("stimulus")) pen.fillText(`trial ${i + 1}`, Math.min(x(t) + 3, width - 50), 11);
  if (wheel) trace(pen, c, from, to, x, height);
  pen.strokeStyle = c.ink;
  pen.lineWidth = 1;
  pen.strokeRect(Math.round(width / 2) + 0.5, 0, 0, height);
}

function trace(pen, c, from, to, x, height) {
  const [a, b] = [lastAt(wheel.times, from), Math.min(lastAt(wheel.times, to) + 1, wheel.times.length - 1)];
  let [low, high] = [Infinity, -Infinity];
  for (let i = a; i <= b; i++) [low, high] = [Math.min(low, wheel.position[i]), Math.max(high, wheel.position[i])];
  const reach = Math.max(high - low, 0.2); // rad: what is less is drawn as stillness
  const middle = (low + high) / 2;
  const y = (p) => height / 2 + 10 - ((p - middle) / reach) * (height - 44);
  pen.strokeStyle = c.ink;
  pen.lineWidth = 1.4;
  pen.beginPath();
  const every = Math.max(1, Math.floor((b - a) / 4000));
  for (let i = a; i <= b; i += every) {
    const [px, py] = [x(wheel.times[i]), y(wheel.position[i])];
    if (i === a) pen.moveTo(px, py);
    else pen.lineTo(px, py);
  }
  pen.stroke();
}
