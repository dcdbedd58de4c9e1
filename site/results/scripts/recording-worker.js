// Fetches, decodes and filters a recording beside the page, which never waits for it.
//
// Asked with { id, open: { data, index } } it tells what the index says; asked with
// { id, view: { from, to, filter, width } } it returns the voltage in µV, sites in order of depth.

import { chunksOf, decodeChunk, readSidecar } from "./ebin.js";
import { extremes, highPass, lessMedian } from "./filters.js";
import { decompress } from "./vendor/fzstd.js";

const MARGIN = 0.02; // seconds on either side that the filter needs
const AHEAD = 30; // milliseconds of quiet before whole chunks are decoded
const small = (navigator.deviceMemory ?? 4) < 4;
const KEPT = { stored: small ? 20e6 : 60e6, decoded: small ? 50e6 : 140e6 }; // bytes

let recording;
let address;
let sites; // channels that are on the probe, from its tip up
let gains; // µV of a count, by channel
const stored = new Map(); // chunks as fetched: number → { bytes, checked }
const decoded = new Map(); // chunks as samples: number → array, channel after channel
let latest = 0;

async function found(url, options) {
  const answer = await fetch(url, options);
  if (!answer.ok) throw new Error(`${new URL(url).pathname}: ${answer.status} ${answer.statusText}`.trim());
  return answer;
}

async function open({ data, index }) {
  recording = readSidecar(await (await found(index)).json());
  address = data;
  stored.clear();
  decoded.clear();
  const { channels, microvolts, probeMap, samples, rate } = recording;
  const onProbe = probeMap ? Math.min(probeMap.length, channels) : channels;
  const place = (c) => (probeMap ? probeMap[c] : [0, 0, c]);
  sites = Array.from({ length: onProbe }, (_, c) => c).sort((a, b) => place(a)[0] - place(b)[0] || place(a)[2] - place(b)[2] || place(a)[1] - place(b)[1]);
  gains = Array.from({ length: channels }, (_, c) => (Array.isArray(microvolts) ? microvolts[c] : (microvolts ?? 1)));
  return { samples, channels, rate, unit: microvolts == null ? "counts" : "µV", sites, depths: probeMap ? sites.map((c) => place(c)[2]) : null };
}

// Fetch what is not there of some chunks, neighbours by one request.
async function fetchChunks(chunks) {
  for (let i = 0; i < chunks.length; i++) {
    if (stored.has(chunks[i].number)) continue;
    let end = i;
    while (end + 1 < chunks.length && !stored.has(chunks[end + 1].number)) end++;
    const [first, last] = [chunks[i], chunks[end]];
    const answer = await found(address, { headers: { Range: `bytes=${first.at}-${last.at + last.size - 1}` } });
    if (answer.status !== 206) throw new Error("the server does not answer range requests");
    const bytes = new Uint8Array(await answer.arrayBuffer());
    for (const chunk of chunks.slice(i, end + 1)) stored.set(chunk.number, { bytes: bytes.slice(chunk.at - first.at, chunk.at - first.at + chunk.size), checked: false });
  }
}

// Forget what was used longest ago, but for what is needed now.
function forget(cache, most, size, needed) {
  for (const number of needed) {
    const kept = cache.get(number);
    if (kept === undefined) continue;
    cache.delete(number);
    cache.set(number, kept);
  }
  let total = 0;
  for (const each of cache.values()) total += size(each);
  for (const [number, each] of cache) {
    if (total <= most || needed.includes(number)) break;
    total -= size(each);
    cache.delete(number);
  }
}

// Return the counts from … to - 1 of the probe's sites, in order of depth, as µV.
async function voltage(from, to) {
  const chunks = chunksOf(recording, from, to);
  await fetchChunks(chunks);
  const numbers = chunks.map((chunk) => chunk.number);
  forget(stored, KEPT.stored, (each) => each.bytes.length, numbers);
  forget(decoded, KEPT.decoded, (each) => each.byteLength, numbers);
  const n = to - from;
  const out = new Float32Array(sites.length * n);
  for (const chunk of chunks) {
    const first = Math.max(from, chunk.first);
    const last = Math.min(to, chunk.first + chunk.samples);
    const whole = decoded.get(chunk.number);
    const kept = stored.get(chunk.number);
    const samples = whole ?? decodeChunk(kept.bytes, chunk, decompress, { from: first - chunk.first, to: last - chunk.first, channels: sites, checked: kept.checked });
    kept.checked = true;
    const stride = whole ? chunk.samples : last - first;
    const start = whole ? first - chunk.first : 0;
    sites.forEach((channel, row) => {
      const at = (whole ? channel : row) * stride + start;
      const gain = gains[channel];
      for (let t = 0, o = row * n + first - from; t < last - first; t++) out[o + t] = samples[at + t] * gain;
    });
  }
  return out;
}

// Decode whole chunks while nobody waits, so that the next move is a copy.
function ahead(chunks, turn) {
  const next = chunks.find((chunk) => !decoded.has(chunk.number) && stored.has(chunk.number));
  if (!next) return;
  setTimeout(() => {
    if (turn !== latest) return;
    decoded.set(next.number, decodeChunk(stored.get(next.number).bytes, next, decompress, { checked: true }));
    ahead(chunks, turn);
  }, AHEAD);
}

async function view({ from, to, filter, width }, turn) {
  if (turn !== latest) return null; // somebody moved on meanwhile
  const margin = filter === "none" ? 0 : Math.round(MARGIN * recording.rate);
  const [first, last] = [Math.max(0, from - margin), Math.min(recording.samples, to + margin)];
  const x = await voltage(first, last);
  const n = last - first;
  if (turn !== latest) return null;
  if (filter === "none") levelled(x, sites.length, n);
  else highPass(x, sites.length, n, recording.rate);
  if (filter === "shared") lessMedian(x, sites.length, n);
  const shown = margin ? cut(x, n, from - first, to - first) : x;
  const seen = to - from > width ? extremes(shown, sites.length, to - from, width) : shown;
  ahead(chunksOf(recording, from, to), turn);
  return { values: seen, columns: seen.length / sites.length, traces: shown, samples: to - from };
}

// Take off each row's mean: offsets of amplifiers would hide everything else.
function levelled(x, rows, n) {
  for (let row = 0; row < rows; row++) {
    let total = 0;
    for (let t = 0; t < n; t++) total += x[row * n + t];
    for (let t = 0; t < n; t++) x[row * n + t] -= total / n;
  }
}

function cut(x, n, from, to) {
  const rows = x.length / n;
  const out = new Float32Array(rows * (to - from));
  for (let row = 0; row < rows; row++) out.set(x.subarray(row * n + from, row * n + to), row * (to - from));
  return out;
}

// One after the other: two moves must not fetch the same chunk twice.
let before = Promise.resolve();
onmessage = ({ data: { id, open: opened, view: seen } }) => {
  const turn = seen ? ++latest : latest;
  before = before.then(async () => {
    try {
      const answer = opened ? await open(opened) : await view(seen, turn);
      postMessage({ id, answer }, answer?.values ? [...new Set([answer.values.buffer, answer.traces.buffer])] : []);
    } catch (error) {
      postMessage({ id, failed: error.message });
    }
  });
};
