// The spikes of a probe by time: rows of 12 bytes in one file, read a stretch at a time by ranges.

const SIZE = 12; // f64 time (s), u16 depth (µm), u16 cluster
const BLOCK = 60; // seconds read at a time when a unit's next spike is looked for

export class SpikeFile {
  // url: of the file. rows: the first row of each second, and the number of rows at last.
  constructor(url, rows) {
    this.url = url;
    this.rows = rows;
    this.kept = { first: 0, last: 0, view: new DataView(new ArrayBuffer(0)) };
  }

  get seconds() {
    return this.rows.length - 1;
  }

  // Read the rows first … last - 1; what was read last is kept.
  async read(first, last) {
    const { kept } = this;
    if (first < kept.first || last > kept.last) {
      const answer = await fetch(this.url, { headers: { Range: `bytes=${first * SIZE}-${last * SIZE - 1}` } });
      if (answer.status !== 206) throw new Error(`the spikes: ${answer.status}; the server must answer range requests`);
      this.kept = { first, last, view: new DataView(await answer.arrayBuffer()) };
    }
    return Array.from({ length: last - first }, (_, i) => this.row(first + i));
  }

  row(number) {
    const at = (number - this.kept.first) * SIZE;
    const { view } = this.kept;
    return { time: view.getFloat64(at, true), depth: view.getUint16(at + 8, true), cluster: view.getUint16(at + 10, true) };
  }

  rowsOf(from, to) {
    const second = (t) => Math.max(0, Math.min(this.seconds, t));
    return [this.rows[second(Math.floor(from))], this.rows[second(Math.ceil(to))]];
  }

  // Return the spikes between two moments (s), thinned evenly if there are more than `most`.
  async between(from, to, most) {
    const [first, last] = this.rowsOf(from, to);
    if (first >= last) return [];
    const found = (await this.read(first, last)).filter((spike) => spike.time >= from && spike.time <= to);
    const every = Math.ceil(found.length / most);
    return every > 1 ? found.filter((_, i) => i % every === 0) : found;
  }

  // Return a unit's first spike after a moment, or the last before it (direction -1); null if none.
  async beside(cluster, t, direction) {
    for (let from = t; direction > 0 ? from < this.seconds : from > 0; from += direction * BLOCK) {
      const [first, last] = direction > 0 ? this.rowsOf(from, from + BLOCK) : this.rowsOf(from - BLOCK, from);
      if (first >= last) continue;
      const found = (await this.read(first, last)).filter((spike) => spike.cluster === cluster && (direction > 0 ? spike.time > t : spike.time < t));
      if (found.length) return direction > 0 ? found[0] : found.at(-1);
    }
    return null;
  }
}
