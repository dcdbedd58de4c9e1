// When a recording's samples were taken: by the probe's clock, if its page has one, or its rate.

// Return y at x on a line through points, going on straight beyond its ends.
function along(xs, ys, x) {
  let low = 0;
  let high = xs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] < x) low = middle + 1;
    else high = middle;
  }
  const i = Math.max(1, Math.min(xs.length - 1, low));
  return ys[i - 1] + ((x - xs[i - 1]) * (ys[i] - ys[i - 1])) / (xs[i] - xs[i - 1]);
}

// The clock counts samples of the AP band; a band of `rate` Hz has one for so many of them. Bands
// are made by taking every n-th sample: what is nearly a whole number is one.
function decimation({ time, sample }, rate) {
  const last = time.length - 1;
  const ratio = (sample[last] - sample[0]) / (time[last] - time[0]) / rate;
  const whole = Math.round(ratio);
  return whole && Math.abs(ratio - whole) < 1e-3 * whole ? whole : ratio;
}

// `clock`: seconds of the session and samples of the AP band, or null; `rate`: the file's own, Hz.
export class RecordingClock {
  constructor(clock, rate) {
    this.clock = clock;
    this.step = clock ? decimation(clock, rate) : 1 / rate;
  }

  sampleAt(t) {
    return (this.clock ? along(this.clock.time, this.clock.sample, t) : t) / this.step;
  }

  timeOf(sample) {
    const at = sample * this.step;
    return this.clock ? along(this.clock.sample, this.clock.time, at) : at;
  }
}
