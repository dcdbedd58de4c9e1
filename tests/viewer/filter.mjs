// Filters what comes on standard input, { x: [[…], …], rate }, and prints the steps' results.

import { readFileSync } from "node:fs";
import { extremes, highPass, lessMedian } from "../../site/results/scripts/filters.js";

const { x, rate } = JSON.parse(readFileSync(0, "utf8"));
const [rows, n] = [x.length, x[0].length];
const flat = Float32Array.from(x.flat());
highPass(flat, rows, n, rate);
const high = Array.from(flat);
lessMedian(flat, rows, n);
console.log(JSON.stringify({ high, shared: Array.from(flat), seen: Array.from(extremes(flat, rows, n, 50)) }));
