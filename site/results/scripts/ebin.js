// Decoder of Fornix recordings (.ebin), as shared/codec/FORMAT.md says; section numbers are its.
// No DOM, no network: bytes in, samples out. A zstandard library is handed in as `inflate`.
// One file, because it is one decoder, read beside FORMAT.md.

export class FormatError extends Error {}

const need = (sound, text) => {
  if (!sound) throw new FormatError(text);
};

const SAMPLES = { int16: [1, Int16Array], uint16: [2, Uint16Array], int32: [3, Int32Array] };
const BANK = 48; // channels whose neighbours are among themselves (2.3)
const PART = 256; // samples of a part with a class of its own (2.1)
const MOST_BYTES = 2 ** 28; // of a chunk's samples (1.2)
const CODED = 1;

// ---------------------------------------------------------------- CRC-32, eight bytes at a time

const CRC = Array.from({ length: 8 }, () => new Int32Array(256));
for (let n = 0; n < 256; n++) {
  let c = n;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  CRC[0][n] = c;
}
for (let n = 0; n < 256; n++) {
  for (let k = 1; k < 8; k++) CRC[k][n] = (CRC[k - 1][n] >>> 8) ^ CRC[0][CRC[k - 1][n] & 255];
}

// Return the CRC-32 (zlib's) of bytes, after those that gave `before`.
export function crc32(bytes, before = 0) {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = CRC;
  let c = ~before;
  let i = 0;
  for (const end = bytes.length - 7; i < end; i += 8) {
    c ^= bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24);
    c = t7[c & 255] ^ t6[(c >>> 8) & 255] ^ t5[(c >>> 16) & 255] ^ t4[c >>> 24] ^ t3[bytes[i + 4]] ^ t2[bytes[i + 5]] ^ t1[bytes[i + 6]] ^ t0[bytes[i + 7]];
  }
  for (; i < bytes.length; i++) c = t0[(c ^ bytes[i]) & 255] ^ (c >>> 8);
  return ~c >>> 0;
}

// ---------------------------------------------------------------- the sidecar (3)

const whole = (value, least, most) => Number.isInteger(value) && value >= least && value <= most;

// Return what a sidecar (its JSON, parsed) says of a recording, with each chunk's place.
//
// { samples, channels, rate (Hz), dtype, chunkLength, chunks, size, microvolts, probeMap, clock }
export function readSidecar(json) {
  need(json && json.algorithm === "fornix-ephys" && json.version === 1, "not a recording of this format");
  const [samples, channels] = json.shape ?? [];
  const { dtype, sample_rate: rate, chunk_length: chunkLength, chunk_sizes: sizes, chunk_crc32: crcs } = json;
  need(Object.hasOwn(SAMPLES, dtype), "an unknown sample type");
  need(whole(channels, 1, 65536) && channels === json.n_channels, "a wrong number of channels");
  need(rate > 0 && Number.isFinite(rate), "a wrong sample rate");
  need(whole(samples, 0, 2 ** 53 - 1) && whole(chunkLength, 1, 2 ** 32 - 1), "a wrong number of samples");
  const count = Math.ceil(samples / chunkLength);
  need(Array.isArray(sizes) && Array.isArray(crcs) && sizes.length === count && crcs.length === count, "a wrong number of chunks");
  let at = 64;
  const chunks = sizes.map((size, number) => {
    need(whole(size, 64, 2 ** 32) && whole(crcs[number], 0, 2 ** 32 - 1), "a wrong chunk");
    const first = number * chunkLength;
    const chunk = { number, at, size, crc: crcs[number], first, samples: Math.min(chunkLength, samples - first), channels, dtype };
    at += size;
    return chunk;
  });
  need(json.file_size === undefined || whole(json.file_size, at, 2 ** 53 - 1), "a file shorter than its chunks");
  return { samples, channels, rate, dtype, chunkLength, chunks, size: json.file_size, microvolts: json.microvolts ?? null, probeMap: json.probe_map ?? null, clock: json.clock ?? null };
}

// Return the chunks that hold the samples `from` to `to` - 1.
export function chunksOf(recording, from, to) {
  const first = Math.max(0, Math.floor(from / recording.chunkLength));
  return recording.chunks.slice(first, Math.ceil(Math.min(to, recording.samples) / recording.chunkLength));
}

// ---------------------------------------------------------------- a chunk (1.2)

// Decode samples of a chunk.
//
// bytes: the chunk as stored. chunk: its entry from `readSidecar`. inflate(bytes) opens one
// zstandard frame. from, to: samples, counted from the chunk's first; channels: which, all by
// default; checked: whether its CRC-32 was compared before. Returns a typed array of
// channels × (to - from), a channel after the other.
export function decodeChunk(bytes, chunk, inflate, { from = 0, to = chunk.samples, channels = null, checked = false } = {}) {
  need(bytes.length === chunk.size && bytes.length >= 64, "a chunk that was cut short");
  need(checked || crc32(bytes) === chunk.crc, "a damaged chunk");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [type, Sample] = SAMPLES[chunk.dtype];
  const [T, C] = [view.getUint32(16, true), view.getUint32(20, true)];
  need(view.getUint32(0) === 0x4658434b && view.getUint32(4, true) === chunk.number && view.getBigUint64(8, true) === BigInt(chunk.first), "another chunk");
  need(T === chunk.samples && C === chunk.channels && bytes[49] === type && T * C * Sample.BYTES_PER_ELEMENT <= MOST_BYTES, "a chunk that is not as the index says");
  const [packed, unpacked] = [view.getUint32(24, true), view.getUint32(28, true)];
  need(BigInt(64 + packed) + view.getBigUint64(32, true) === BigInt(bytes.length), "a chunk of another size");
  need(whole(from, 0, to - 1) && whole(to, 1, T), "samples outside the chunk");
  const wanted = channels ?? Array.from({ length: C }, (_, c) => c);
  need(wanted.every((c) => whole(c, 0, C - 1)), "channels that are not there");
  const out = new Sample(wanted.length * (to - from));
  const body = bytes.subarray(64 + packed);
  if (bytes[48] === CODED) {
    const meta = readParameters(open(inflate, bytes.subarray(64, 64 + packed), unpacked), T, C, Sample);
    need(meta.bodySize === body.length, "a body of another size");
    restore(meta, body, inflate, { T, C, from, to, wanted, out });
  } else {
    need(bytes[48] === 0 && packed === 0 && body.length === T * C * Sample.BYTES_PER_ELEMENT, "an unknown mode");
    const stored = new Sample(body.slice().buffer);
    wanted.forEach((c, row) => {
      for (let t = from, o = row * (to - from); t < to; t++) out[o++] = stored[t * C + c];
    });
  }
  return out;
}

function open(inflate, bytes, size) {
  const content = inflate(bytes);
  need(content.length === size, "a frame of another size");
  return content;
}

// ---------------------------------------------------------------- parameters (2.1)

// Takes arrays off the parameters; the bytes of elements lie lowest first, then all second bytes.
function taker(bytes) {
  let at = 32;
  const take = (Type, count) => {
    const size = Type.BYTES_PER_ELEMENT;
    need(count >= 0 && at + count * size <= bytes.length, "parameters that were cut short");
    const plain = new Uint8Array(count * size);
    for (let j = 0; j < size; j++) for (let i = 0; i < count; i++) plain[i * size + j] = bytes[at++];
    return new Type(plain.buffer);
  };
  return { take, rest: () => bytes.length - at };
}

const sum = (array) => array.reduce((total, each) => total + each, 0);

function readParameters(bytes, T, C, Sample) {
  need(bytes.length >= 32, "parameters that were cut short");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [kind, flags, s, p, v, w] = bytes;
  const [S, G, m, V] = [8, 12, 16, 20].map((at) => view.getUint32(at, true));
  need(kind <= 2 && (kind !== 1 || Sample === Int32Array) && flags < 8, "an unknown coding");
  need(w === (kind === 0 ? Sample.BYTES_PER_ELEMENT : 2) && s < 8 * w && v < 8 * w && p <= 16, "a wrong model");
  need(S >= 1 && S <= T && G >= 1 && m <= BANK * C && (kind === 2 ? V >= 1 && V <= 32768 : V === 0), "a wrong layout");
  const Int = w === 2 ? Int16Array : Int32Array;
  const byClass = Boolean(flags & 4);
  need(!byClass || G === 1, "channels that share a frame and have classes");
  const { take, rest } = taker(bytes);
  const table = take(Sample, V);
  for (let i = 1; i < V; i++) table[i] += table[i - 1];
  const baseline = take(Int, C);
  const taps = take(Int16Array, p * C);
  const counts = take(Uint8Array, C);
  need(sum(counts) === m, "a wrong number of terms");
  const distances = take(Uint8Array, m);
  const weights = take(Int8Array, m);
  const terms = termsOf(counts, distances, weights);
  const parts = byClass ? Math.ceil(T / PART) : 0;
  const classes = take(Uint8Array, C * parts);
  const frames = byClass ? framesByClass(classes, parts, T, C) : framesOfChannels(G, T, C);
  const F = frames.length;
  const shifts = take(Uint8Array, F);
  const offsets = take(Int, byClass ? F : C);
  const sizes = take(Uint32Array, F);
  const exceptions = take(Uint32Array, F);
  const total = sum(exceptions);
  const [gaps, highs] = [take(Uint32Array, total), take(Uint32Array, total)];
  need(rest() === 0, "parameters with something behind them");
  let [at, low, exception] = [0, sum(sizes), 0];
  frames.forEach((frame, i) => {
    const shift = shifts[i];
    need(shift <= 8 * w - 8, "a wrong shift");
    Object.assign(frame, { number: i, shift, at, size: sizes[i], low, exception, exceptions: exceptions[i] });
    at += sizes[i];
    low += (shift >> 3) * frame.count + (shift & 7) * Math.ceil(frame.count / 8);
    exception += exceptions[i];
  });
  return { kind, differences: Boolean(flags & 1), wide: Boolean(flags & 2), byClass, s, p, v, w, S, V, Int, base: Number(view.getBigInt64(24, true)), table, baseline, taps, terms, frames, offsets, gaps, highs, bodySize: low };
}

function termsOf(counts, distances, weights) {
  let j = 0;
  return Array.from(counts, (count, c) => {
    const mine = [];
    for (const end = j + count; j < end; j++) {
      need(distances[j] > 0 && distances[j] <= c % BANK, "a neighbour of another bank");
      mine.push({ channel: c - distances[j], weight: weights[j] });
    }
    return mine;
  });
}

const framesOfChannels = (G, T, C) =>
  Array.from({ length: Math.ceil(C / G) }, (_, f) => {
    const channels = Math.min(G, C - f * G);
    return { first: f * G, channels, count: channels * T, parts: null };
  });

function framesByClass(classes, parts, T, C) {
  const frames = [];
  for (let c = 0; c < C; c++) {
    const byClass = [];
    for (let part = 0; part < parts; part++) (byClass[classes[c * parts + part]] ??= []).push(part);
    need(byClass.length <= 16, "a wrong class");
    for (let k = 0; k < byClass.length; k++) {
      need(byClass[k], "a class without parts");
      const count = byClass[k].reduce((n, part) => n + Math.min(PART, T - part * PART), 0);
      frames.push({ first: c, channels: 1, count, parts: byClass[k] });
    }
  }
  return frames;
}

// ---------------------------------------------------------------- from frames to samples

function restore(meta, body, inflate, { T, C, from, to, wanted, out }) {
  const start = from - (from % meta.S); // segments are restored from their heads
  const length = to - start;
  const used = new Uint8Array(C);
  for (const c of wanted) used[c] = 1;
  for (let c = C - 1; c >= 0; c--) if (used[c]) for (const term of meta.terms[c]) used[term.channel] = 1;
  const rows = Array.from({ length: C }, (_, c) => (used[c] ? new meta.Int(length) : null));
  for (const frame of meta.frames) {
    if (used.subarray(frame.first, frame.first + frame.channels).some(Boolean)) readFrame(meta, frame, body, inflate, rows, T, start, to);
  }
  const add = meta.w === 2 ? addNeighbours16 : addNeighbours32;
  for (let c = 0; c < C; c++) if (used[c] && meta.terms[c].length) add(rows, c, meta.terms[c], meta.v);
  const history = new Int32Array(meta.p + meta.S);
  wanted.forEach((c, row) => {
    // A row that others look at, or that is wanted twice, stays as it is.
    const x = rows[c].slice();
    if (meta.p || meta.differences) for (let t = 0; t < length; t += meta.S) restoreSegment(meta, x.subarray(t, Math.min(length, t + meta.S)), c, history);
    const baseline = meta.baseline[c];
    if (baseline) for (let t = 0; t < length; t++) x[t] += baseline;
    values(meta, x.subarray(from - start), out.subarray(row * (to - from), (row + 1) * (to - from)));
  });
}

function readFrame(meta, frame, body, inflate, rows, T, start, to) {
  const symbols = open(inflate, body.subarray(frame.at, frame.at + frame.size), frame.count);
  if (!frame.parts) {
    for (let j = 0; j < frame.channels; j++) {
      const c = frame.first + j;
      if (rows[c]) residuals(meta, frame, symbols, body, j * T + start, j * T + to, rows[c], meta.offsets[c]);
    }
    return;
  }
  const all = new meta.Int(frame.count);
  residuals(meta, frame, symbols, body, 0, frame.count, all, meta.offsets[frame.number]);
  let i = 0;
  for (const part of frame.parts) {
    const end = Math.min(T, (part + 1) * PART);
    for (let t = part * PART; t < end; t++, i++) if (t >= start && t < to) rows[frame.first][t - start] = all[i];
  }
}

// ---------------------------------------------------------------- symbols (2.2)

// Put the residuals of the symbols from … to - 1 of a frame into `out`, which wraps by its type.
function residuals(meta, frame, symbols, body, from, to, out, offset) {
  const { shift, count } = frame;
  if (shift) {
    const low = lowBits(body, frame, from, to);
    for (let i = from, o = 0; i < to; i++, o++) out[o] = ((symbols[i] << shift) | low[o]) - offset;
  } else {
    for (let i = from, o = 0; i < to; i++, o++) out[o] = symbols[i] - offset;
  }
  const up = shift + 8;
  for (let e = frame.exception, end = e + frame.exceptions, at = 0; e < end; e++) {
    at += meta.gaps[e];
    need(at < count, "an exception outside its frame");
    if (up < 32 && at >= from && at < to) out[at - from] += meta.highs[e] << up; // « 32 counts as 0
  }
}

let scratch = new Int32Array(0);

function lowBits(body, frame, from, to) {
  const n = to - from;
  if (scratch.length < n) scratch = new Int32Array(n);
  const low = scratch.fill(0, 0, n);
  const bytes = frame.shift >> 3;
  let at = frame.low;
  for (let j = 0; j < bytes; j++, at += frame.count) for (let i = 0; i < n; i++) low[i] |= body[at + from + i] << (8 * j);
  for (let bit = 8 * bytes; bit < frame.shift; bit++, at += Math.ceil(frame.count / 8)) {
    let i = from;
    for (; i < to && i & 7; i++) low[i - from] |= ((body[at + (i >> 3)] >> (i & 7)) & 1) << bit;
    for (; i + 8 <= to; i += 8) {
      const eight = body[at + (i >> 3)];
      if (eight) for (let k = 0, o = i - from; k < 8; k++) low[o + k] |= ((eight >> k) & 1) << bit;
    }
    for (; i < to; i++) low[i - from] |= ((body[at + (i >> 3)] >> (i & 7)) & 1) << bit;
  }
  return low;
}

// ---------------------------------------------------------------- neighbours (2.3)

// Of 16 bits: the sum stays below 2^28, and is cut to 16 bits as it is shifted.
function addNeighbours16(rows, c, terms, v) {
  const x = rows[c];
  const down = 16 + v;
  let j = 0;
  if (terms.length <= 4) {
    const [a, b, d, e] = [0, 1, 2, 3].map((i) => rows[(terms[i] ?? terms[0]).channel]);
    const [wa, wb, wd, we] = [0, 1, 2, 3].map((i) => terms[i]?.weight ?? 0);
    if (terms.length === 1) for (let t = 0; t < x.length; t++) x[t] += ((wa * a[t]) << 16) >> down;
    else if (terms.length === 2) for (let t = 0; t < x.length; t++) x[t] += ((wa * a[t] + wb * b[t]) << 16) >> down;
    else for (let t = 0; t < x.length; t++) x[t] += ((wa * a[t] + wb * b[t] + wd * d[t] + we * e[t]) << 16) >> down;
    return;
  }
  const total = new Int32Array(x.length);
  for (; j + 1 < terms.length; j += 2) {
    const [a, b] = [rows[terms[j].channel], rows[terms[j + 1].channel]];
    const [wa, wb] = [terms[j].weight, terms[j + 1].weight];
    for (let t = 0; t < x.length; t++) total[t] += wa * a[t] + wb * b[t];
  }
  if (j < terms.length) {
    const [a, wa] = [rows[terms[j].channel], terms[j].weight];
    for (let t = 0; t < x.length; t++) total[t] += wa * a[t];
  }
  for (let t = 0; t < x.length; t++) x[t] += (total[t] << 16) >> down;
}

function addNeighbours32(rows, c, terms, v) {
  const x = rows[c];
  const total = new Int32Array(x.length);
  for (const { channel, weight } of terms) {
    const other = rows[channel];
    for (let t = 0; t < x.length; t++) total[t] += Math.imul(weight, other[t]);
  }
  for (let t = 0; t < x.length; t++) x[t] += total[t] >> v;
}

// ---------------------------------------------------------------- time (2.4)

// Restore one segment of channel c in place; its first sample is its head.
function restoreSegment(meta, x, c, y) {
  const { p, s, w, wide, differences } = meta;
  const n = x.length;
  const head = x[0];
  if (p === 0) {
    for (let t = 1; t < n; t++) x[t] += x[t - 1];
    return;
  }
  const C = meta.terms.length;
  const taps = new Int32Array(p);
  for (let i = 0; i < p; i++) taps[i] = meta.taps[i * C + c];
  if (w === 4) {
    restore32(x, taps, s, wide, differences, y);
    return;
  }
  const up = wide ? 0 : 16;
  const down = up + s;
  if (p <= 4) {
    const [a1, a2 = 0, a3 = 0, a4 = 0] = taps;
    let y1, y2, y3, y4;
    y1 = y2 = y3 = y4 = differences ? 0 : head;
    let now = head;
    for (let t = 1; t < n; t++) {
      const total = (Math.imul(a1, y1) + Math.imul(a2, y2) + Math.imul(a3, y3) + Math.imul(a4, y4)) | 0;
      const next = ((x[t] + ((total << up) >> down)) << 16) >> 16;
      y4 = y3;
      y3 = y2;
      y2 = y1;
      y1 = next;
      now = differences ? now + next : next;
      x[t] = now;
    }
    return;
  }
  y.fill(differences ? 0 : head, 0, p);
  let now = head;
  for (let t = 1; t < n; t++) {
    let total = 0;
    for (let i = 0, at = p + t - 2; i < p; i++) total = (total + Math.imul(taps[i], y[at - i])) | 0;
    const next = ((x[t] + ((total << up) >> down)) << 16) >> 16;
    y[p + t - 1] = next;
    now = differences ? now + next : next;
    x[t] = now;
  }
}

// Of 32 bits: wide sums stay below 2^51, which doubles hold exactly.
function restore32(x, taps, s, wide, differences, y) {
  const p = taps.length;
  const scale = 2 ** -s;
  const head = x[0];
  y.fill(differences ? 0 : head, 0, p);
  let now = head;
  for (let t = 1; t < x.length; t++) {
    let total = 0;
    if (wide) for (let i = 0, at = p + t - 2; i < p; i++) total += taps[i] * y[at - i];
    else for (let i = 0, at = p + t - 2; i < p; i++) total = (total + Math.imul(taps[i], y[at - i])) | 0;
    const next = (x[t] + (wide ? Math.floor(total * scale) | 0 : total >> s)) | 0;
    y[p + t - 1] = next;
    now = differences ? (now + next) | 0 : next;
    x[t] = now;
  }
}

// ---------------------------------------------------------------- values (2.5)

function values(meta, x, out) {
  if (meta.kind === 0) {
    if (out instanceof Uint16Array) for (let t = 0; t < out.length; t++) out[t] = x[t] ^ 0x8000;
    else out.set(x);
  } else if (meta.kind === 1) {
    for (let t = 0; t < out.length; t++) out[t] = (meta.base + x[t]) | 0;
  } else {
    const half = meta.V >> 1;
    for (let t = 0; t < out.length; t++) {
      const i = x[t] + half;
      need(i >= 0 && i < meta.V, "a value outside its table");
      out[t] = meta.table[i];
    }
  }
}
