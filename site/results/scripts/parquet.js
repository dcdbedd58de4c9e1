// Rows as a Parquet file, for pandas, Polars, DuckDB and R: one row group, a page a column, plain
// values, nothing compressed. A list has at most some hundred thousand short rows, so that a
// library with all of the format's encodings would be more than all other scripts together.
// Format: github.com/apache/parquet-format (thrift compact protocol, data page version 1).

const BOOLEAN = 0, INT64 = 2, DOUBLE = 5, TEXT = 6; // physical types
const PLAIN = 0, RLE = 3; // encodings
const OPTIONAL = 1, UTF8 = 0, UNCOMPRESSED = 0, DATA_PAGE = 0;

const utf8 = new TextEncoder();

// Bytes that grow as they are written.
class Bytes {
  constructor() {
    this.array = new Uint8Array(1024);
    this.length = 0;
  }

  room(n) {
    if (this.length + n > this.array.length) {
      const larger = new Uint8Array(Math.max(2 * this.array.length, this.length + n));
      larger.set(this.array);
      this.array = larger;
    }
    const start = this.length;
    this.length += n;
    return new DataView(this.array.buffer, start, n);
  }

  byte(value) {
    this.room(1).setUint8(0, value);
  }

  put(bytes) {
    this.room(bytes.length);
    this.array.set(bytes, this.length - bytes.length);
  }

  varint(value) {
    for (; value >= 128; value = Math.floor(value / 128)) this.byte((value % 128) + 128);
    this.byte(value);
  }

  get bytes() {
    return this.array.subarray(0, this.length);
  }
}

// What thrift's compact protocol writes: [type, how]; numbers here are never negative.
const i32 = (n) => [5, (out) => out.varint(2 * n)];
const i64 = (n) => [6, (out) => out.varint(2 * n)];
const text = (t) => [8, (out) => { const b = utf8.encode(t); out.varint(b.length); out.put(b); }];
const list = (items) => [9, (out) => {
  const type = items.length ? items[0][0] : 12;
  if (items.length < 15) out.byte(items.length * 16 + type);
  else { out.byte(0xf0 + type); out.varint(items.length); }
  for (const [, write] of items) write(out);
}];
const struct = (fields) => [12, (out) => {
  let last = 0;
  for (const [id, [type, write]] of fields) {
    out.byte((id - last) * 16 + type);
    write(out);
    last = id;
  }
  out.byte(0);
}];

// The type of a column, by all that it has: the same whatever is filtered.
function typeOf(values) {
  const known = values.filter((value) => value != null);
  if (known.length && known.every((value) => typeof value === "boolean")) return BOOLEAN;
  if (known.length && known.every((value) => typeof value === "number")) return known.every(Number.isSafeInteger) ? INT64 : DOUBLE;
  return TEXT;
}

// One page: which values are there, then those.
function page(type, values) {
  const out = new Bytes();
  const levels = new Bytes();
  for (let i = 0; i < values.length;) {
    const there = values[i] != null;
    let end = i + 1;
    while (end < values.length && (values[end] != null) === there) end++;
    levels.varint(2 * (end - i));
    levels.byte(there ? 1 : 0);
    i = end;
  }
  out.room(4).setUint32(0, levels.length, true);
  out.put(levels.bytes);
  const known = values.filter((value) => value != null);
  if (type === BOOLEAN) {
    const bits = new Uint8Array(Math.ceil(known.length / 8));
    known.forEach((value, i) => { if (value) bits[i >> 3] |= 1 << (i & 7); });
    out.put(bits);
  } else if (type === TEXT) {
    for (const value of known) {
      const bytes = utf8.encode(String(value));
      out.room(4).setUint32(0, bytes.length, true);
      out.put(bytes);
    }
  } else {
    for (const value of known) {
      if (type === DOUBLE) out.room(8).setFloat64(0, value, true);
      else out.room(8).setBigInt64(0, BigInt(value), true);
    }
  }
  return out.bytes;
}

// columns: name → all its values. rows: the numbers of those that are written. Lists are left out.
export function parquet(columns, rows) {
  const out = new Bytes();
  out.put(utf8.encode("PAR1"));
  const schema = [];
  const chunks = [];
  for (const [name, all] of Object.entries(columns)) {
    if (all.some(Array.isArray)) continue;
    const type = typeOf(all);
    schema.push(struct([[1, i32(type)], [3, i32(OPTIONAL)], [4, text(name)], ...(type === TEXT ? [[6, i32(UTF8)]] : [])]));
    const start = out.length;
    const body = page(type, rows.map((row) => all[row]));
    const about = struct([[1, i32(rows.length)], [2, i32(PLAIN)], [3, i32(RLE)], [4, i32(RLE)]]);
    struct([[1, i32(DATA_PAGE)], [2, i32(body.length)], [3, i32(body.length)], [5, about]])[1](out);
    out.put(body);
    const size = out.length - start;
    const meta = struct([
      [1, i32(type)], [2, list([i32(PLAIN), i32(RLE)])], [3, list([text(name)])], [4, i32(UNCOMPRESSED)],
      [5, i64(rows.length)], [6, i64(size)], [7, i64(size)], [9, i64(start)],
    ]);
    chunks.push([size, struct([[2, i64(start)], [3, meta]])]);
  }
  const total = chunks.reduce((sum, [size]) => sum + size, 0);
  const group = struct([[1, list(chunks.map(([, chunk]) => chunk))], [2, i64(total)], [3, i64(rows.length)]]);
  const root = struct([[4, text("schema")], [5, i32(schema.length)]]);
  const footer = out.length;
  struct([
    [1, i32(1)], [2, list([root, ...schema])], [3, i64(rows.length)],
    [4, list(rows.length ? [group] : [])], [6, text("fornix")],
  ])[1](out);
  out.room(4).setUint32(0, out.length - 4 - footer, true);
  out.put(utf8.encode("PAR1"));
  return out.bytes.slice();
}
