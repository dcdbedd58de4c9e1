import assert from "node:assert/strict";
import { test } from "node:test";
import { apply, History, readTable, writeTable } from "../../../site/app/src/grid/edits.ts";
import { binomial, read } from "../../../site/app/src/screens/genotyping.tsx";
import { offspring } from "../../../site/app/src/data/plan.ts";
import { preview } from "../../../site/app/src/data/water.ts";
import { unusual } from "../../../site/app/src/screens/weigh.tsx";
import { readNumber } from "../../../site/app/src/forms/field.tsx";

test("what a spreadsheet copies is read, and comes back as it was", () => {
  const table = [["a", "b\nc"], ['say "x"', ""]];
  assert.deepEqual(readTable(writeTable(table)), table);
  assert.deepEqual(readTable("1\t2\r\n3\t4\r\n"), [["1", "2"], ["3", "4"]]);
});

test("typing in one cell is one step, undone and redone", () => {
  const past = new History();
  let values = {};
  for (const value of ["2", "24", "24.3"]) {
    past.add([{ row: "A", column: "w", value, before: value === "2" ? "" : value.slice(0, -1) }], true);
    values = apply(values, [{ row: "A", column: "w", value }]);
  }
  assert.deepEqual(past.undo(), [{ row: "A", column: "w", value: "" }]);
  assert.equal(past.redo()?.[0]?.value, "24.3");
  assert.equal(past.redo(), undefined);
});

test("numbers are read with a comma or a point; words are kept to be complained of", () => {
  assert.deepEqual(["24,3", "24.3", " ", "x"].map(readNumber), [24.3, 24.3, null, "x"]);
});

test("results are read as laboratories write them", () => {
  assert.deepEqual(["+", "pos", "−", "0", "?"].map(read), ["present", "present", "absent", "absent", ""]);
});

test("pups inherit as Mendel and sex chromosomes have it", () => {
  assert.deepEqual(offspring(1, 1), [0.25, 0.5, 0.25]);
  assert.deepEqual(offspring(2, 0), [0, 1, 0]);
  assert.equal(offspring(3, 1), null);
  assert.deepEqual(offspring(2, 0, true), [0, 1, 0]);
});

test("an exact binomial test", () => {
  assert.ok(Math.abs(binomial(5, 10, 0.5) - 1) < 1e-9);
  assert.ok(Math.abs(binomial(0, 10, 0.5) - 2 / 1024) < 1e-9);
});

test("a weight is previewed by the factors that the server gave", () => {
  const known = { subject: "A", implant_weight: 1, weight: 0, percentage: 0, expected_weight: 26, min_weight: 22, min_percentage: 85, given: 0, remaining: 0, low: 0.04, high: 0.05, threshold: 22 };
  assert.deepEqual(preview(known, 26), { percentage: 100, need: 1, level: "ok" });
  assert.equal(preview(known, 20.75).level, "low");
  assert.ok(Math.abs(preview(known, 20.75).need - 0.05 * 19.75) < 1e-9);
});

test("weights that are far from the last one are asked about once", () => {
  assert.deepEqual([unusual(24, 23), unusual(42, 24), unusual(900, null)], [false, true, true]);
});
