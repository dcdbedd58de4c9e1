// Animals asked for, and given: stock changes hands by requests only.
import { useState } from "preact/hooks";
import { num, type Row, text } from "../data/model.ts";
import { genotypeText, lives, name, requestsOpen } from "../data/select.ts";
import { isStockManager, lab, me } from "../data/session.ts";
import { row, rows } from "../data/store.ts";
import { age, said } from "../data/time.ts";
import { perform, update } from "../data/undo.ts";
import { Form } from "../forms/form.tsx";
import { Grid, type Values } from "../grid/grid.tsx";
import { Empty } from "../parts/empty.tsx";
import { href } from "../parts/router.ts";
import { closeSheet, openSheet } from "../parts/sheet.tsx";

/** Living animals that were given for a request. */
const given = (request: Row): Row[] => rows("subject").filter((each) => each.request === request.id && lives(each));

const left = (request: Row): number => Math.max(0, (num(request.remaining) ?? (num(request.count) ?? 0) - given(request).length));

export function Requests() {
  const [which, setWhich] = useState("open");
  const all = rows("subject-request").slice().sort((a, b) => text(b.date_time).localeCompare(text(a.date_time)));
  const shown = all.filter((each) => which === "all" || (which === "mine" ? each.user === me.value?.username : requestsOpen.value.includes(each) && left(each) > 0));
  return (
    <>
      <header class="page-head"><h1>Requests</h1><button type="button" class="primary" data-new onClick={() => openSheet("Request animals", () => <Form path="subject-requests" fields={["line", "count", "due_date", "description"]} labels={{ count: "How many" }} submit="Ask" onDone={closeSheet} onCancel={closeSheet} what={(values) => `Asked for ${text(values.count)} of ${text(values.line)}`} />)}>New request</button></header>
      <div class="segments" role="group" aria-label="Which requests">
        {(["open", "mine", "all"] as const).map((each) => <button key={each} type="button" aria-pressed={which === each} onClick={() => setWhich(each)}>{{ open: "Open", mine: "Mine", all: "All" }[each]}</button>)}
      </div>
      {shown.length ? (
        <ul class="rows">
          {shown.map((each) => (
            <li key={text(each.id)}>
              <span>
                <strong>{text(each.count)} × {text(each.line)}</strong> <span class="muted">for {text(each.user)}</span><br />
                <span class="muted small">asked {said(each.date_time)}{each.due_date ? `, due ${said(each.due_date)}` : ""} · {left(each)} left{each.description ? ` · ${text(each.description)}` : ""}</span>
              </span>
              {left(each) > 0 && isStockManager.value && <button type="button" class="button" aria-label={`Fulfil ${text(each.count)} of ${text(each.line)} for ${text(each.user)}`} onClick={() => openSheet(`Give ${text(each.line)} to ${text(each.user)}`, () => <Fulfil request={each} />)}>Fulfil</button>}
            </li>
          ))}
        </ul>
      ) : <Empty title="No requests">Ask the stock managers of your lab for animals with “New request”.</Empty>}
    </>
  );
}

function Fulfil({ request }: { request: Row }) {
  const stock = new Set(rows("user").filter((each) => each.is_stock_manager).map((each) => text(each.username)));
  const found = rows("subject")
    .filter((each) => lives(each) && each.lab === lab.value && each.line === request.line && stock.has(text(each.responsible_user)) && !each.to_be_culled && !each.request)
    .sort((a, b) => text(b.birth_date).localeCompare(text(a.birth_date)))
    .slice(0, 60);
  const [values, setValues] = useState<Values>({});
  const chosen = found.filter((each) => values[name(each)]?.give === "yes");
  const wanted = left(request);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (!chosen.length) return;
    const to = text(request.user);
    await perform(`Gave ${chosen.length} ${text(request.line)} to ${to}`, [], {
      call: { method: "POST", path: "/subjects/transfer", body: { subjects: chosen.map(name), to, request: request.id } },
      shows: chosen.map((each) => update("subjects", name(each), { responsible_user: to, request: request.id })),
    });
    closeSheet();
  };
  if (!found.length) return <Empty title={`No stock of ${text(request.line)}`}>Living animals of stock managers that are not flagged for culling would be here.</Empty>;
  return (
    <form class="form" onSubmit={(event) => void submit(event)}>
      <p class="muted small">{wanted} wanted. <button type="button" class="quiet" onClick={() => setValues(Object.fromEntries(found.slice(0, wanted).map((each) => [name(each), { give: "yes" }])))}>Take the youngest {wanted}</button></p>
      <Grid
        caption="Animals to give"
        columns={[{ name: "give", label: "Give", type: "check" }, { name: "about", label: "About", show: (key) => { const mouse = row("subject", key); return mouse ? <span class="small">{text(mouse.sex)} {age(mouse.birth_date)} <span class="muted">{genotypeText(mouse)}</span></span> : null; } }]}
        rows={found.map((each) => ({ key: name(each), name: name(each), label: <a href={href("mouse", name(each))} tabIndex={-1}>{name(each)}</a> }))}
        values={values}
        onChange={setValues}
      />
      <div class="form-end"><button class="primary" disabled={!chosen.length}>Give {chosen.length || ""}</button></div>
    </form>
  );
}
