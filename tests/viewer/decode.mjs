// Decodes recordings with the site's decoder; what to decode is on standard input, as JSON.
//
// { data, index, windows: [[from, to, channels or null], …] } a line; the answer to each is a
// line: the SHA-256 of the samples of each window, a channel after the other, or what refused it.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { decompress } from "fzstd";

import { chunksOf, decodeChunk, readSidecar } from "../../site/results/scripts/ebin.js";

const digest = (arrays) => {
  const hash = createHash("sha256");
  for (const array of arrays) hash.update(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  return hash.digest("hex");
};

function window(bytes, recording, [from, to, channels]) {
  const pieces = chunksOf(recording, from, to).map((chunk) => {
    const within = { from: Math.max(from - chunk.first, 0), to: Math.min(to - chunk.first, chunk.samples), channels };
    return decodeChunk(bytes.subarray(chunk.at, chunk.at + chunk.size), chunk, decompress, within);
  });
  return digest(pieces);
}

for await (const line of createInterface({ input: process.stdin })) {
  const { data, index, windows } = JSON.parse(line);
  let answer;
  try {
    const bytes = new Uint8Array(readFileSync(data));
    const recording = readSidecar(index);
    answer = windows.map((each) => window(bytes, recording, each));
  } catch (error) {
    answer = { refused: `${error.constructor.name}: ${error.message}` };
  }
  console.log(JSON.stringify(answer));
}
