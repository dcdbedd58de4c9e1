// Filters of raw voltage, in place, a channel after the other.

// Butterworth high-pass of third order, forwards and backwards: no phase, order six in all.
//
// x: Float32Array of rows × n. rate and corner in Hz. The ends are continued as they are, so give
// some 20 ms more on either side than will be shown.
export function highPass(x, rows, n, rate, corner = 300) {
  const K = Math.tan((Math.PI * corner) / rate);
  const norm = 1 / (1 + K + K * K); // a section of second order with Q = 1 …
  const [a1, a2] = [2 * (K * K - 1) * norm, (1 - K + K * K) * norm];
  const [gain, pole] = [1 / (1 + K), (K - 1) / (K + 1)]; // … and one of first order
  for (let row = 0; row < rows; row++) {
    for (const step of [1, -1]) {
      let i = row * n + (step > 0 ? 0 : n - 1);
      let [x1, x2, y1, y2, u1, z1] = [x[i], x[i], 0, 0, 0, 0];
      for (let k = 0; k < n; k++, i += step) {
        const y = norm * (x[i] - 2 * x1 + x2) - a1 * y1 - a2 * y2;
        x2 = x1;
        x1 = x[i];
        y2 = y1;
        y1 = y;
        z1 = gain * (y - u1) - pole * z1;
        u1 = y;
        x[i] = z1;
      }
    }
  }
}

// Take the median over channels off each sample: what all sites share is no neuron's.
export function lessMedian(x, rows, n) {
  const column = new Float32Array(rows);
  for (let t = 0; t < n; t++) {
    for (let row = 0; row < rows; row++) column[row] = x[row * n + t];
    const shared = middle(column);
    for (let row = 0; row < rows; row++) x[row * n + t] -= shared;
  }
}

// Return the upper median; the values are put in another order.
function middle(values) {
  const half = values.length >> 1;
  let [low, high] = [0, values.length - 1];
  while (low < high) {
    const pivot = values[(low + high) >> 1];
    let [i, j] = [low, high];
    while (i <= j) {
      while (values[i] < pivot) i++;
      while (values[j] > pivot) j--;
      if (i <= j) {
        const kept = values[i];
        values[i++] = values[j];
        values[j--] = kept;
      }
    }
    if (half <= j) high = j;
    else if (half >= i) low = i;
    else break;
  }
  return values[half];
}

// Return what of rows × n samples is seen in `width` columns: of each the sample farthest from
// zero, so that a spike of one sample is not lost.
export function extremes(x, rows, n, width) {
  const out = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < width; column++) {
      const first = Math.floor((column * n) / width);
      const last = Math.max(first + 1, Math.floor(((column + 1) * n) / width));
      let most = x[row * n + first];
      for (let t = first + 1; t < last; t++) if (Math.abs(x[row * n + t]) > Math.abs(most)) most = x[row * n + t];
      out[row * width + column] = most;
    }
  }
  return out;
}
