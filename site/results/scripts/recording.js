// Raw voltage of a probe at any moment: an image of all sites, traces, spikes over them. What is
// shown is in the page's address, so that a moment can be sent to somebody.
// One file, because one picture is drawn from one state.

import { RecordingClock } from "./clock.js";
import { element, fixed, json, root } from "./common.js";
import { colours } from "./figure.js";
import { SpikeFile } from "./spikes.js";

const { d3 } = globalThis;
const LEFT = 58; // as the other figures of the page
const TRACES = 8;
const WINDOWS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1];
const FILTERS = { high: "300 Hz high-pass", shared: "High-pass, less the median of all sites", none: "None" };
const MOST_SPIKES = 4000;
const NEAR = 60; // µm from a trace's site within which a spike is marked on it

let about; // recording.json
let info; // what the worker read of the index
let clock; // when its samples were taken
let spikes;
let units;
let drawn; // the last view: what it shows, and its values
const state = { t: null, w: 0.1, f: "high", g: 75, u: null, b: null, row: null };
const part = (name) => document.getElementById(`recording-${name}`);

// ---------------------------------------------------------------- the worker

let worker;
let asked = 0;
const waiting = new Map();

function ask(message) {
  return new Promise((resolve, reject) => {
    waiting.set(++asked, { resolve, reject });
    worker.postMessage({ id: asked, ...message });
  });
}

function hire() {
  worker = new Worker(new URL("recording-worker.js", import.meta.url), { type: "module" });
  worker.onmessage = ({ data: { id, answer, failed } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (failed) reject(new Error(failed));
    else resolve(answer);
  };
  worker.onerror = () => {
    for (const { reject } of waiting.values()) reject(new Error("the decoder could not be started"));
    waiting.clear();
  };
}

// ---------------------------------------------------------------- time and samples

const sampleAt = (t) => clock.sampleAt(t);
const timeOf = (sample) => clock.timeOf(sample);

function limits() {
  return [timeOf(0), timeOf(info.samples)];
}

function keepInside() {
  const [first, last] = limits();
  state.w = Math.min(Math.max(state.w, 0.002), Math.min(1, last - first));
  state.t = Math.min(Math.max(Number.isFinite(state.t) ? state.t : first, first), last - state.w);
}

// ---------------------------------------------------------------- the address

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const number = (name) => (given.get(name) ? Number(given.get(name)) : NaN);
  if (Number.isFinite(number("t"))) state.t = number("t");
  if (number("w") > 0) state.w = number("w");
  if (number("g") > 0) state.g = number("g");
  if (given.get("f") in FILTERS) state.f = given.get("f");
  if (about.bands.some((band) => band.band === given.get("b"))) state.b = given.get("b");
  state.u = units.cluster.includes(number("u")) ? number("u") : null;
  return given.has("t") || state.u != null;
}

function address() {
  const shown = { t: state.t.toFixed(4), w: state.w, f: state.f, g: state.g, b: state.b, ...(state.u == null ? {} : { u: state.u }) };
  return `#${new URLSearchParams(shown)}`;
}

// ---------------------------------------------------------------- start

// Show the recordings that `key` tells of; `ofUnits` are the page's units by column.
export async function showRecording(key, ofUnits) {
  try {
    units = ofUnits;
    about = await json(key);
    state.b = about.bands[0].band;
    spikes = new SpikeFile(root + about.spikes.file, about.spikes.rows);
    const linked = readAddress();
    hire();
    controls();
    listen();
    await openBand();
    if (linked) document.getElementById("recording").scrollIntoView();
  } catch (error) {
    failed(error);
  }
}

function failed(error) {
  console.error(error);
  document.getElementById("recording").setAttribute("data-state", "failed");
  part("state").textContent = `The recording cannot be read: ${error.message}.`;
}

async function openBand() {
  const band = about.bands.find((each) => each.band === state.b);
  const absolute = (name) => new URL(root + name, document.baseURI).href;
  info = await ask({ open: { data: absolute(band.data), index: absolute(band.index) } });
  clock = new RecordingClock(about.clock, info.rate);
  if (state.t == null) state.t = await start();
  state.row ??= Math.floor(info.sites.length / 2);
  await overview(band);
  show();
}

// The chosen unit's first spike, else the first stimulus that was recorded, or the beginning.
async function start() {
  const [first, last] = limits();
  const spike = state.u == null ? null : await spikes.beside(state.u, first, 1);
  if (spike) {
    state.row = rowOf(spike.depth);
    return spike.time - state.w / 2;
  }
  const event = (about.events.stimulus ?? []).find((t) => t >= first && t < last - state.w);
  return (event ?? first) - (event == null ? 0 : state.w / 4);
}

// ---------------------------------------------------------------- controls

function controls() {
  const change = (name, parse = (x) => x) => (event) => {
    state[name] = parse(event.target.value);
    show();
  };
  const select = (label, name, options, parse) =>
    element("label", {}, label, element("select", { id: `recording-${name}`, onchange: change(name, parse) }, ...options.map(([value, text]) => element("option", { value, selected: String(value) === String(state[name]) }, text))));
  part("controls").replaceChildren(
    element("label", {}, "Time (s)", element("input", { id: "recording-t", type: "number", step: "any", inputmode: "decimal", onchange: change("t", Number) })),
    select("Window", "w", WINDOWS.map((w) => [w, w < 1 ? `${Math.round(w * 1000)} ms` : "1 s"]), Number),
    select("Filter", "f", Object.entries(FILTERS)),
    select("Full colour at", "g", [25, 50, 75, 100, 150, 300, 600, 1200].map((g) => [g, `± ${g} µV`]), Number),
    ...(about.bands.length > 1 ? [select("Band", "b", about.bands.map((b) => [b.band, b.band.toUpperCase()]))] : []),
    select("Unit", "u", [["", "All"], ...units.cluster.map((u) => [u, `Unit ${u}`])], (u) => (u === "" ? null : Number(u))),
  );
  part("b")?.addEventListener("change", () => openBand().catch(failed));
}

// Keep what the controls say the same as what is shown.
function showControls() {
  part("t").value = state.t.toFixed(4);
  for (const name of ["w", "f", "g", "u"]) {
    const value = String(state[name] ?? "");
    part(name).value = value; // empty if it is none of the choices, as after zooming
  }
  part("next").hidden = part("previous").hidden = state.u == null;
  const [first, last] = limits();
  Object.assign(part("scrub"), { min: first, max: last - state.w, step: "any", value: state.t });
  part("scrub").setAttribute("aria-valuetext", `${state.t.toFixed(2)} s of ${last.toFixed(0)} s`);
}

function move(seconds) {
  state.t += seconds;
  show();
}

function zoom(factor, at = 0.5) {
  const middle = state.t + at * state.w;
  state.w = Math.min(1, Math.max(0.002, state.w * factor));
  state.t = middle - at * state.w;
  show();
}

const KEYS = {
  ArrowLeft: () => move(-state.w / 4), ArrowRight: () => move(state.w / 4), PageUp: () => move(-1), PageDown: () => move(1),
  ArrowUp: () => choose(state.row + TRACES), ArrowDown: () => choose(state.row - TRACES),
  Home: () => move(-Infinity), End: () => move(1e9), "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2),
  n: () => step(1), p: () => step(-1),
};

function listen() {
  const image = part("image");
  image.addEventListener("keydown", (event) => {
    const act = event.ctrlKey || event.metaKey || event.altKey ? null : KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  part("scrub").addEventListener("input", (event) => {
    state.t = Number(event.target.value);
    show();
  });
  part("next").addEventListener("click", () => step(1));
  part("previous").addEventListener("click", () => step(-1));
  part("overview").addEventListener("click", (event) => {
    const [first, last] = limits();
    const box = event.target.getBoundingClientRect();
    state.t = first + ((event.clientX - box.left - LEFT) / (box.width - LEFT)) * (last - first);
    show();
  });
  pointers(image);
  addEventListener("hashchange", () => {
    readAddress();
    show();
  });
  addEventListener("themechange", () => drawn && paint());
  new ResizeObserver(() => info && show()).observe(image.parentElement);
}

// Drag to move, pinch or Ctrl and wheel to zoom, click to choose the traces.
function pointers(image) {
  const fingers = new Map();
  let moved = 0;
  const inside = (event) => {
    const box = image.getBoundingClientRect();
    return { x: (event.clientX - box.left - LEFT) / (box.width - LEFT), y: (event.clientY - box.top) / box.height, width: box.width - LEFT };
  };
  image.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, event);
    image.setPointerCapture(event.pointerId);
    moved = 0;
  });
  image.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const apart = () => {
      const [a, b] = [...fingers.values()];
      return Math.max(8, Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY));
    };
    if (fingers.size === 1) {
      const dx = event.clientX - before.clientX;
      moved += Math.abs(dx) + Math.abs(event.clientY - before.clientY);
      fingers.set(event.pointerId, event);
      if (dx) move((-dx / inside(event).width) * state.w);
    } else {
      const was = apart();
      fingers.set(event.pointerId, event);
      moved = Infinity;
      zoom(Math.max(0.5, Math.min(2, was / apart())));
    }
  });
  image.addEventListener("pointerup", (event) => {
    fingers.delete(event.pointerId);
    if (moved < 5) choose(Math.round((1 - inside(event).y) * info.sites.length));
  });
  image.addEventListener("pointercancel", (event) => fingers.delete(event.pointerId));
  image.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return; // pages scroll
      event.preventDefault();
      if (event.ctrlKey) zoom(Math.exp(event.deltaY / 200), inside(event).x);
      else move((event.deltaX / inside(event).width) * state.w);
    },
    { passive: false },
  );
}

function choose(row) {
  state.row = Math.max(0, Math.min(info.sites.length - 1, row));
  if (drawn) paint();
}

// Go to the unit's next spike, or the one before.
async function step(direction) {
  if (state.u == null) return;
  try {
    const middle = state.t + state.w / 2;
    const found = await spikes.beside(state.u, middle + direction * 1e-4, direction);
    part("state").textContent = found ? "" : `Unit ${state.u} has no ${direction > 0 ? "later" : "earlier"} spike.`;
    if (!found) return;
    state.t = found.time - state.w / 2;
    state.row = rowOf(found.depth);
    show();
  } catch (error) {
    failed(error);
  }
}

// ---------------------------------------------------------------- drawing

// Show what the state says; a newer state overtakes an older one that is still being read.
async function show() {
  if (!info) return;
  try {
    keepInside();
    showControls();
    history.replaceState(null, "", address());
    const image = part("image");
    const box = image.getBoundingClientRect();
    const width = Math.max(50, Math.round((box.width - LEFT) * devicePixelRatio));
    const from = Math.max(0, Math.round(sampleAt(state.t)));
    const to = Math.min(info.samples, Math.max(from + 2, Math.round(sampleAt(state.t + state.w))));
    image.setAttribute("aria-busy", "true");
    const now = { t: state.t, w: state.w };
    const [seen, near] = await Promise.all([
      ask({ view: { from, to, filter: state.f, width } }),
      spikes.between(now.t, now.t + now.w, MOST_SPIKES),
    ]);
    if (!seen) return; // overtaken
    drawn = { ...seen, ...now, spikes: near.filter(isSeen) };
    paint();
    image.removeAttribute("aria-busy");
    document.getElementById("recording").setAttribute("data-state", `${state.t.toFixed(4)} ${state.w} ${state.f} ${state.b}`);
  } catch (error) {
    failed(error);
  }
}

// Return a canvas's context, its size set to what the page shows: setting it clears it, so do it
// only when the new picture is there.
function fresh(canvas) {
  const box = canvas.getBoundingClientRect();
  canvas.width = Math.round(box.width * devicePixelRatio);
  canvas.height = Math.round(box.height * devicePixelRatio);
  const context = canvas.getContext("2d");
  context.scale(devicePixelRatio, devicePixelRatio);
  context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  return { context, width: box.width, height: box.height };
}

// A table of 513 colours, from the lowest voltage to the highest.
function palette(c) {
  const shade = d3.piecewise(d3.interpolateLab, [c.ink, c.left, c.paper, c.right, c.error]);
  return Uint32Array.from({ length: 513 }, (_, i) => {
    const { r, g, b } = d3.rgb(shade(i / 512));
    return (255 << 24) | (Math.round(b) << 16) | (Math.round(g) << 8) | Math.round(r);
  });
}

// The row of sites nearest to a depth.
function rowOf(depth) {
  if (!info.depths) return Math.round(depth / 20) * 2;
  return d3.minIndex(info.depths, (each) => Math.abs(each - depth));
}

// Whether a spike lies where the recording has sites.
function isSeen(spike) {
  const [low, high] = info.depths ? d3.extent(info.depths) : [-Infinity, Infinity];
  return spike.depth >= low - NEAR && spike.depth <= high + NEAR;
}

function paint() {
  const c = colours();
  paintImage(c);
  paintTraces(c);
  paintPlace(c);
  const what = `${state.t.toFixed(3)} to ${(state.t + state.w).toFixed(3)} s`;
  part("image").setAttribute("aria-label", `Voltage of ${info.sites.length} sites, ${what}. Arrow keys move, plus and minus zoom.`);
  part("traces").setAttribute("aria-label", `Voltage of ${TRACES} sites around ${where(state.row)}, ${what}`);
}

const where = (row) => (info.depths ? `${fixed(info.depths[row], 0)} µm` : `site ${row}`);

function paintImage(c) {
  const rows = info.sites.length;
  const { context, width, height } = fresh(part("image"));
  const { values, columns } = drawn;
  const table = palette(c);
  const picture = new ImageData(columns, rows);
  const pixels = new Uint32Array(picture.data.buffer);
  for (let row = 0; row < rows; row++) {
    const out = (rows - 1 - row) * columns; // the tip is at the bottom
    for (let i = 0; i < columns; i++) {
      const level = 256 + (256 * values[row * columns + i]) / state.g;
      pixels[out + i] = table[level < 0 ? 0 : level > 512 ? 512 : level | 0];
    }
  }
  const whole = new OffscreenCanvas(columns, rows);
  whole.getContext("2d").putImageData(picture, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(whole, LEFT, 0, width - LEFT, height);
  const y = (row) => height - ((row + 0.5) / rows) * height;
  axis(context, c, height, y);
  events(context, c, width, height);
  const x = (t) => LEFT + ((t - drawn.t) / drawn.w) * (width - LEFT);
  for (const spike of drawn.spikes) {
    const own = state.u === spike.cluster;
    if (state.u != null && !own) continue;
    // A ring around the spike, with a rim of paper so that it is seen on any colour.
    context.beginPath();
    context.arc(x(spike.time), y(rowOf(spike.depth)), own ? 9 : 7, 0, 2 * Math.PI);
    for (const [colour, thick] of [[c.paper, 4], [own ? c.error : c.ink, own ? 2 : 1.3]]) {
      context.strokeStyle = colour;
      context.lineWidth = thick;
      context.stroke();
    }
  }
  // Where the traces below are from.
  const half = ((TRACES / 2) * height) / rows;
  context.fillStyle = c.accent;
  context.fillRect(LEFT - 4, y(state.row) - half, 3, 2 * half);
}

function axis(context, c, height, y) {
  context.fillStyle = c.muted;
  context.textAlign = "right";
  context.textBaseline = "middle";
  const { depths } = info;
  const [low, high] = depths ? d3.extent(depths) : [0, info.sites.length];
  for (const tick of d3.ticks(low, high, Math.max(2, height / 70))) {
    const row = depths ? rowOf(tick) : tick;
    context.fillText(d3.format(",")(tick), LEFT - 8, Math.min(height - 7, Math.max(7, y(row))));
  }
}

function events(context, c, width, height) {
  context.textAlign = "left";
  context.textBaseline = "top";
  Object.entries(about.events).forEach(([name, times], i) => {
    const first = d3.bisectLeft(times, drawn.t);
    for (const t of times.slice(first, d3.bisectRight(times, drawn.t + drawn.w))) {
      const x = LEFT + ((t - drawn.t) / drawn.w) * (width - LEFT);
      context.strokeStyle = context.fillStyle = c.accent;
      context.lineWidth = 1.2;
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, height);
      context.stroke();
      context.fillText(name, x + 4, 4 + 14 * i);
    }
  });
}

function paintTraces(c) {
  const { context, width, height } = fresh(part("traces"));
  const { traces, samples } = drawn;
  const first = Math.max(0, Math.min(info.sites.length - TRACES, state.row - TRACES / 2));
  const shown = d3.range(first, Math.min(info.sites.length, first + TRACES));
  const step = (height - 22) / shown.length;
  const x = (i) => LEFT + (i / (samples - 1)) * (width - LEFT);
  shown.forEach((row, i) => {
    const middle = height - 22 - (i + 0.5) * step;
    context.strokeStyle = c.ink;
    context.lineWidth = 1;
    context.beginPath();
    for (let t = 0; t < samples; t++) context.lineTo(x(t), middle - (traces[row * samples + t] / state.g) * step);
    context.stroke();
    context.fillStyle = c.muted;
    context.textAlign = "right";
    context.textBaseline = "middle";
    context.fillText(where(row).replace(" µm", ""), LEFT - 8, middle);
    for (const spike of drawn.spikes) {
      if (!info.depths || Math.abs(spike.depth - info.depths[row]) > NEAR / 3 || (state.u != null && spike.cluster !== state.u)) continue;
      context.fillStyle = spike.cluster === state.u ? c.error : c.muted;
      context.fillRect(LEFT + ((spike.time - drawn.t) / drawn.w) * (width - LEFT) - 1, middle - step / 2, 2, 4);
    }
  });
  context.fillStyle = c.muted;
  context.textBaseline = "bottom";
  const time = d3.scaleLinear([drawn.t, drawn.t + drawn.w], [LEFT, width]);
  const ticks = time.ticks(Math.max(2, width / 140));
  context.textAlign = "center";
  for (const tick of ticks) context.fillText(`${tick.toFixed(Math.max(0, Math.ceil(-Math.log10(drawn.w)) + 1))} s`, Math.min(width - 24, Math.max(LEFT + 24, time(tick))), height);
}

// ---------------------------------------------------------------- the whole recording at once

let loudness;

async function overview(band) {
  loudness = null;
  part("overview").hidden = !band.overview;
  if (!band.overview) return;
  const answer = await fetch(root + band.overview);
  if (!answer.ok) throw new Error(`${band.overview}: ${answer.status}`);
  loudness = readLevels(await answer.arrayBuffer());
}

// An array of u8 as NumPy writes it, seconds × channels.
function readLevels(buffer) {
  const size = new DataView(buffer).getUint16(8, true);
  const text = new TextDecoder().decode(new Uint8Array(buffer, 10, size));
  const shape = /'descr': '\|u1', 'fortran_order': False, 'shape': \((\d+), (\d+)\)/.exec(text);
  if (!shape) throw new Error("an overview of another kind");
  const levels = new Uint8Array(buffer, 10 + size);
  const sorted = levels.slice().sort(); // once: every picture has the same range
  const [low, high] = [sorted[Math.floor(0.02 * sorted.length)], Math.max(1 + sorted[0], sorted[Math.floor(0.98 * (sorted.length - 1))])];
  return { seconds: Number(shape[1]), channels: Number(shape[2]), levels, low, high };
}

function paintPlace(c) {
  if (!loudness) return;
  const { context, width, height } = fresh(part("overview"));
  const { seconds, channels, levels, low, high } = loudness;
  const rows = info.sites.length;
  const picture = new ImageData(seconds, rows);
  const pixels = new Uint32Array(picture.data.buffer);
  const shade = d3.interpolateRgb(c.faint, c.accent);
  const table = d3.range(256).map((level) => {
    const { r, g, b } = d3.rgb(shade(Math.max(0, Math.min(1, (level - low) / Math.max(1, high - low)))));
    return ((255 << 24) | (Math.round(b) << 16) | (Math.round(g) << 8) | Math.round(r)) >>> 0;
  });
  for (let second = 0; second < seconds; second++) {
    info.sites.forEach((channel, row) => {
      pixels[(rows - 1 - row) * seconds + second] = table[levels[second * channels + channel]];
    });
  }
  const whole = new OffscreenCanvas(seconds, rows);
  whole.getContext("2d").putImageData(picture, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(whole, LEFT, 0, width - LEFT, height);
  const [first, last] = limits();
  context.fillStyle = c.focus;
  context.fillRect(LEFT + ((state.t - first) / (last - first)) * (width - LEFT) - 1, 0, 3, height);
}
