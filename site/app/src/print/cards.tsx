// Cage cards and animal cards for the printer, each with the address of its page.
import { useEffect } from "preact/hooks";
import { called, type Row, text } from "../data/model.ts";
import { cageMates, cageOf, genotypeText, name } from "../data/select.ts";
import { lab } from "../data/session.ts";
import { row } from "../data/store.ts";
import { age, said } from "../data/time.ts";
import { Empty } from "../parts/empty.tsx";
import { href, place } from "../parts/router.ts";
import { Qr } from "./qr.tsx";

const address = (...parts: string[]): string => location.origin + location.pathname + href(...parts);

function CageCard({ cage }: { cage: Row }) {
  const found = cageMates.value.get(text(cage.name)) ?? [];
  return (
    <article class="print-card">
      <Qr address={address("cage", text(cage.id))} />
      <div>
        <h2>{text(cage.name)}</h2>
        <p>{lab.value} {[cage.room, cage.rack].map(text).filter(Boolean).join(" ")}</p>
        <table>
          <tbody>{found.map((each) => <tr key={name(each)}><th scope="row">{called(name(each))}</th><td>{text(each.sex)}</td><td>{said(each.birth_date)}</td><td>{text(each.ear_mark)}</td><td>{genotypeText(each)}</td></tr>)}</tbody>
        </table>
        <p>{[...new Set(found.map((each) => text(each.responsible_user)))].join(", ")}</p>
      </div>
    </article>
  );
}

function MouseCard({ mouse }: { mouse: Row }) {
  return (
    <article class="print-card">
      <Qr address={address("mouse", name(mouse))} />
      <div>
        <h2>{called(name(mouse))}</h2>
        <p>{text(mouse.sex)}, born {said(mouse.birth_date)} ({age(mouse.birth_date)})</p>
        <p>{text(mouse.line)} {genotypeText(mouse)}</p>
        <p>Cage {cageOf(mouse) || "–"} · mark {text(mouse.ear_mark) || "–"}</p>
        <p>{text(mouse.responsible_user)} · {lab.value}</p>
      </div>
    </article>
  );
}

export function Cards() {
  const query = place.value.query;
  const asked = query.has("print");
  useEffect(() => {
    if (asked) requestAnimationFrame(() => print());
  }, [asked]);
  const cages = (query.get("cages") ?? "").split(",").map((each) => row("cage", each)).filter((each) => !!each);
  const mice = (query.get("mice") ?? "").split(",").map((each) => row("subject", each)).filter((each) => !!each);
  if (!cages.length && !mice.length) return <Empty whole title="No cards chosen">Choose animals in Mice, or cages in Cages, then “Cards”.</Empty>;
  return (
    <>
      <header class="page-head no-print">
        <div><h1>Cards</h1><p class="muted">{cages.length + mice.length} cards; a phone’s camera opens their page.</p></div>
        <button type="button" class="primary" onClick={() => print()}>Print</button>
      </header>
      <div class="print-cards">
        {cages.map((each) => <CageCard key={text(each.id)} cage={each} />)}
        {mice.map((each) => <MouseCard key={name(each)} mouse={each} />)}
      </div>
    </>
  );
}
