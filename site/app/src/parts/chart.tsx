// Weight and water of an animal over days, drawn as SVG.
import { num, type Row, text } from "../data/model.ts";
import { daysBetween, said } from "../data/time.ts";

/** One day of an animal. */
export interface Day {
  date: string;
  weight: number | null;
  expected: number | null;
  min: number | null;
  water: number | null;
  restricted: boolean;
}

/** Read the rows of `GET /water-requirement`. */
export function readDays(records: Row[]): Day[] {
  return records
    .map((each): Day => ({
      date: text(each.date).slice(0, 10),
      weight: num(each.weight) || null,
      expected: num(each.expected_weight) || null,
      min: num(each.min_weight) || null,
      water: num(each.given_water_total ?? each.given_water) ?? null,
      restricted: !!(each.is_water_restricted ?? each.water_restricted),
    }))
    .filter((each) => each.date)
    .sort((a, b) => a.date.localeCompare(b.date));
}

/** Pixels of the drawing: as wide as the screen gives it, so that its words stay readable. */
const W = Math.min(720, Math.max(330, innerWidth - 40));
const H = 230;
const LEFT = 34;
const BOTTOM = 24;
const WATER = 36;

export function WeightChart({ days: all, onDay, chosen }: { days: Day[]; onDay?: (date: string) => void; chosen?: string }) {
  const begin = all.findIndex((each) => each.weight !== null);
  const days = begin < 0 ? [] : all.slice(begin);
  const known = days.filter((each) => each.weight !== null);
  if (known.length < 2) return <p class="muted small">A curve needs two weighings.</p>;
  const first = days[0]!.date;
  const span = Math.max(1, daysBetween(first, days.at(-1)!.date));
  const values = days.flatMap((each) => [each.weight, each.min, each.expected]).filter((each): each is number => each !== null);
  const [low, high] = [Math.floor(Math.min(...values) - 0.5), Math.ceil(Math.max(...values) + 0.5)];
  const x = (date: string): number => LEFT + ((W - LEFT - 8) * daysBetween(first, date)) / span;
  const y = (value: number): number => 8 + ((H - BOTTOM - WATER - 8) * (high - value)) / (high - low || 1);
  const most = Math.max(0.1, ...days.map((each) => each.water ?? 0));
  const path = (field: "weight" | "min" | "expected"): string => {
    let pen = "M";
    return days
      .filter((each) => each[field] !== null && (field === "weight" || each.restricted))
      .map((each) => {
        const step = `${pen}${x(each.date).toFixed(1)},${y(each[field]!).toFixed(1)}`;
        pen = "L";
        return step;
      })
      .join("");
  };
  const ticks = [low, Math.round((low + high) / 2), high];
  const last = known.at(-1)!;
  return (
    <figure class="chart">
      <svg viewBox={`0 0 ${W} ${H}`} role="img" aria-label={`Weight from ${said(first)} to ${said(last.date)}: ${known[0]!.weight} to ${last.weight} g`}>
        {ticks.map((each) => (
          <g key={each}>
            <line x1={LEFT} x2={W - 8} y1={y(each)} y2={y(each)} class="rule" />
            <text x={LEFT - 6} y={y(each) + 4} text-anchor="end">{each}</text>
          </g>
        ))}
        {days.filter((each) => each.water).map((each) => {
          const h = (WATER - 6) * (each.water! / most);
          return <rect key={each.date} class="water" x={x(each.date) - 2} width="4" y={H - BOTTOM - h} height={h} rx="1" />;
        })}
        <path d={path("expected")} class="expected" />
        <path d={path("min")} class="min" />
        <path d={path("weight")} class="weight" />
        {known.map((each) => (
          <circle key={each.date} cx={x(each.date)} cy={y(each.weight!)} r={each.date === chosen ? 5 : 2.6} class={each.min && each.restricted && each.weight! < each.min ? "dot low" : "dot"} onClick={() => onDay?.(each.date)}>
            <title>{`${said(each.date)}: ${each.weight} g`}</title>
          </circle>
        ))}
        <text x={LEFT} y={H - 6}>{said(first)}</text>
        <text x={W - 8} y={H - 6} text-anchor="end">{said(days.at(-1)!.date)}</text>
      </svg>
      <figcaption class="legend small">
        <span><i class="key weight" />weight, g</span>
        <span><i class="key expected" />expected</span>
        <span><i class="key min" />least allowed</span>
        <span><i class="key water" />water, at most {most.toFixed(1)} ml</span>
      </figcaption>
    </figure>
  );
}
