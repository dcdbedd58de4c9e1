import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { called, type Group, type Write } from "../../../site/app/src/data/model.ts";
import { nextNames, renamed } from "../../../site/app/src/data/names.ts";
import { builtOn, clear, overlay, row, table, take, versionOf, waiting } from "../../../site/app/src/data/store.ts";
import { declare } from "./forms.ts";

const group = (id: string, ...writes: Write[]): Group => ({ id, at: id, who: "me", what: "", writes, state: "waiting", tries: 0 });

beforeEach(() => {
  declare();
  overlay([]);
  clear();
});

test("what was done here is shown on top of what the server said, and goes when it is taken back", () => {
  take([{ kind: "subject", key: "A", version: 3, row: { nickname: "A", cage: "1" } }]);
  const change = group("g1", { op: "update", resource: "subjects", key: "A", body: { cage: "2" } });
  overlay([change]);
  assert.equal(row("subject", "A")?.cage, "2");
  assert.equal(versionOf("subject", "A"), 3);
  assert.ok(waiting("subject", "A"));
  overlay([]);
  assert.equal(row("subject", "A")?.cage, "1");
  assert.ok(!waiting("subject", "A"));
});

test("namesakes of two labs are two animals, by whichever name an answer calls them", () => {
  take([
    { kind: "subject", key: "A", version: 1, row: { nickname: "A", lab: "x" } },
    { kind: "subject", key: "A~0123abcd", version: 1, row: { nickname: "A", lab: "y" } },
  ]);
  assert.deepEqual([row("subject", "A")?.lab, row("subject", "A~0123abcd")?.lab], ["x", "y"]);
  assert.equal(row("subject", "A~0123abcd")?.nickname, "A~0123abcd");
  assert.equal(called("A~0123abcd"), "A");
});

test("changes of several groups are laid over each other in their order", () => {
  take([{ kind: "subject", key: "A", version: 1, row: { nickname: "A" } }]);
  overlay([
    group("g1", { op: "update", resource: "subjects", key: "A", body: { cage: "2", line: "L" } }),
    group("g2", { op: "update", resource: "subjects", key: "A", body: { cage: "3" } }),
  ]);
  assert.deepEqual([row("subject", "A")?.cage, row("subject", "A")?.line], ["3", "L"]);
});

test("a new record and a deleted one are shown at once", () => {
  take([{ kind: "weighing", key: "w1", version: 1, row: { id: "w1", weight: 20 } }]);
  overlay([group("g", { op: "create", resource: "weighings", body: { id: "w2", weight: 21 } }, { op: "delete", resource: "weighings", key: "w1" })]);
  assert.deepEqual([...table("weighing").keys()], ["w2"]);
});

test("an echo of an older version changes nothing", () => {
  take([{ kind: "subject", key: "A", version: 5, row: { nickname: "A", cage: "new" } }]);
  take([{ kind: "subject", key: "A", version: 4, row: { nickname: "A", cage: "old" } }]);
  assert.equal(row("subject", "A")?.cage, "new");
});

test("a record that the server withdrew is gone, and what waits for it is not shown as if it were there", () => {
  take([{ kind: "subject", key: "A", version: 1, row: { nickname: "A" } }]);
  overlay([group("g", { op: "update", resource: "subjects", key: "A", body: { cage: "2" } })]);
  take([{ kind: "subject", key: "A", version: 2, row: null }]);
  assert.equal(row("subject", "A"), undefined);
});

test("names go on after the line's counter and skip those in use", () => {
  take([
    { kind: "line", key: "Pvalb", version: 1, row: { name: "Pvalb", nickname: "PV", subject_autoname_index: 10 } },
    { kind: "subject", key: "PV_0012", version: 1, row: { nickname: "PV_0012" } },
  ]);
  assert.deepEqual(nextNames("subject", row("line", "Pvalb"), 2), ["PV_0011", "PV_0013"]);
  assert.deepEqual(nextNames("litter", row("line", "Pvalb"), 1), ["PV_L_001"]);
});

test("writes whose names were taken get new ones, and what refers to them follows", () => {
  take([
    { kind: "line", key: "Pvalb", version: 1, row: { name: "Pvalb", nickname: "PV" } },
    { kind: "litter", key: "PV_L_001", version: 1, row: { name: "PV_L_001" } },
    { kind: "subject", key: "PV_0001", version: 1, row: { nickname: "PV_0001" } },
  ]);
  const [litter, pup] = renamed([
    { op: "create", resource: "litters", body: { name: "PV_L_001", line: "Pvalb" } },
    { op: "create", resource: "subjects", body: { nickname: "PV_0001", line: "Pvalb", litter: "PV_L_001" } },
  ]);
  assert.equal(litter!.body!.name, "PV_L_002");
  assert.deepEqual(pup!.body, { nickname: "PV_0002", line: "Pvalb", litter: "PV_L_002" });
});

test("a second change of a record builds on the device's own first one, and not on another's", () => {
  const change: Write = { op: "update", resource: "subjects", key: "A", version: 3, body: { cage: "3" } };
  const own = [{ kind: "subject", key: "A", version: 4, row: { nickname: "A", cage: "2" } }];
  const others = [{ kind: "subject", key: "A", version: 5, row: { nickname: "A", cage: "2" } }];
  assert.equal(builtOn(group("g2", change), own).writes[0]?.version, 4);
  assert.equal(builtOn(group("g2", change), others).writes[0]?.version, 3);
  const sent = { ...group("g2", change), tries: 1 };
  assert.equal(builtOn(sent, own), sent);
});
