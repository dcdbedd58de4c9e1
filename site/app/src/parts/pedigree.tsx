// Parents and grandparents above, sibs and offspring below.
import { useEffect, useState } from "preact/hooks";
import { get } from "../data/api.ts";
import { type Row, text } from "../data/model.ts";
import { name, pups } from "../data/select.ts";
import { row, rows } from "../data/store.ts";
import { age } from "../data/time.ts";
import { href } from "./router.ts";

function pairOf(mouse: Row | undefined): Row | undefined {
  const litter = row("litter", mouse?.litter);
  return litter ? row("breeding-pair", litter.breeding_pair) : undefined;
}

function Animal({ nickname, role }: { nickname: string; role: string }) {
  if (!nickname) return <span class="relative unknown">{role} unknown</span>;
  const known = row("subject", nickname);
  return (
    <span class="relative">
      <span class="muted small">{role}</span> <a href={href("mouse", nickname)}>{nickname}</a> {known && <span class="muted small">{text(known.line)} {age(known.birth_date, known.death_date)}</span>}
    </span>
  );
}

function Parents({ mouse, depth }: { mouse: Row | undefined; depth: number }) {
  const pair = pairOf(mouse);
  if (!pair) return null;
  const parents: [string, string][] = [["father", text(pair.father)], ["mother", text(pair.mother1)], ...(pair.mother2 ? [["or mother", text(pair.mother2)] as [string, string]] : [])];
  return (
    <ul class="tree">
      {parents.map(([role, nickname]) => (
        <li key={role}>
          <Animal nickname={nickname} role={role} />
          {depth > 1 && nickname && <Parents mouse={row("subject", nickname)} depth={depth - 1} />}
        </li>
      ))}
    </ul>
  );
}

/** The generation, such as N4F2; the server has the ancestors that the device does not keep. */
function Generation({ mouse }: { mouse: Row }) {
  const [said, setSaid] = useState("");
  const key = text(mouse.id) || name(mouse);
  const counted = Boolean(row("line", mouse.line)?.generation_scheme);
  useEffect(() => {
    let current = true;
    setSaid("");
    if (counted) {
      const found = get<Row>(`/subjects/${encodeURIComponent(key)}`);
      found.then((each) => current && setSaid(text(each.generation))).catch(() => undefined); // offline: not shown
    }
    return () => { current = false; };
  }, [key, counted]);
  return said ? <p>Generation <strong>{said}</strong> of {text(mouse.line)}</p> : null;
}

export function Pedigree({ mouse }: { mouse: Row }) {
  const nickname = name(mouse);
  const litter = text(mouse.litter);
  const sibs = litter ? (pups.value.get(litter) ?? []).filter((each) => name(each) !== nickname) : [];
  const pairs = rows("breeding-pair").filter((each) => [each.father, each.mother1, each.mother2].includes(nickname));
  return (
    <section class="family">
      <h2>Parents</h2>
      {pairOf(mouse) ? <Parents mouse={mouse} depth={3} /> : <p class="muted">Not known: the animal has no litter with a pair.</p>}
      <Generation mouse={mouse} />
      <h2>Litter {litter && <a href={href("litter", litter)}>{litter}</a>}</h2>
      {sibs.length ? <p>{sibs.map((each, i) => <span key={name(each)}>{i > 0 && ", "}<a href={href("mouse", name(each))}>{name(each)}</a></span>)}</p> : <p class="muted">No others.</p>}
      <h2>Offspring</h2>
      {pairs.length ? pairs.map((pair) => (
        <div key={text(pair.name)}>
          <h3>{text(pair.name)}</h3>
          <ul class="plain">
            {rows("litter").filter((each) => each.breeding_pair === pair.name).map((each) => (
              <li key={text(each.name)}><a href={href("litter", text(each.name))}>{text(each.name)}</a> <span class="muted">{(pups.value.get(text(each.name)) ?? []).length} pups, {text(each.birth_date)}</span></li>
            ))}
          </ul>
        </div>
      )) : <p class="muted">In no breeding pair.</p>}
    </section>
  );
}
