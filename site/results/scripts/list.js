// The page of a list: sessions come in parts by month, the others in one piece.

import { json, pageData, say, start } from "./common.js";
import { list, PAGE, Table } from "./table.js";

// Load the parts of a list, newest first, a few at a time; the first is shown at once.
async function inParts(holder, index) {
  const table = new Table();
  let at = 0;
  const parts = index.parts.map(([name]) => name);
  const one = async () => table.add(await json(`data/list/${parts[at++]}.json`));
  while (table.n < PAGE && at < parts.length) await one();
  const refresh = list(holder, table, "sessions", () => index.n);
  document.body.dataset.shown = "yes";
  while (at < parts.length) {
    const batch = parts.slice(at, at + 6);
    at += batch.length;
    for (const part of await Promise.all(batch.map((name) => json(`data/list/${name}.json`)))) table.add(part);
    refresh();
  }
}

start(async () => {
  const holder = document.getElementById("list");
  const data = await pageData();
  if (data.parts) {
    await inParts(holder, data);
  } else {
    const table = new Table();
    table.add(data);
    list(holder, table, holder.dataset.kind, () => table.n);
  }
  if (!(data.n > 0)) say(document.body.dataset.empty ?? "Nothing is public yet.");
});
