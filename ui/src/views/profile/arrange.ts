/** The order in which dimensions are shown. */
import type { Dimension, Reading } from "../../lib/generated/bindings";

export type Pair = { dimension: Dimension; reading: Reading };
export type Arranged = {
  /** Matches of a search; null while nothing is searched for. */
  found: Pair[] | null;
  /** Set by the person or with evidence, strongest first. */
  first: Pair[];
  /** Everything else, by group, in the order of the space. */
  groups: { name: string; pairs: Pair[] }[];
};

/** How far a score in force is from no leaning. */
function strength({ reading }: Pair): number {
  return Math.abs(reading.override ?? reading.score);
}

function leans({ reading }: Pair): number {
  return reading.override !== null || reading.direction !== 0 ? 1 : 0;
}

export function arrange(dimensions: Dimension[], readings: Reading[], search: string): Arranged {
  const byId = new Map(readings.map((reading) => [reading.id, reading]));
  const pairs = dimensions.flatMap((dimension) => {
    const reading = byId.get(dimension.id);
    return reading && reading.status !== "off" ? [{ dimension, reading }] : [];
  });
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const found =
    words.length === 0
      ? null
      : pairs.filter(({ dimension: d }) => {
          const text = `${d.name} ${d.group} ${d.low} ${d.high} ${d.definition}`.toLowerCase();
          return words.every((word) => text.includes(word));
        });
  const first = pairs
    .filter(({ reading }) => reading.override !== null || reading.status === "known")
    // Those that lean before those that are known not to; then the strongest.
    .sort((a, b) => leans(b) - leans(a) || strength(b) - strength(a));
  const taken = new Set(first.map(({ dimension }) => dimension.id));
  const groups = new Map<string, Pair[]>();
  for (const pair of pairs) {
    if (taken.has(pair.dimension.id)) continue;
    const group = groups.get(pair.dimension.group);
    if (group) group.push(pair);
    else groups.set(pair.dimension.group, [pair]);
  }
  return { found, first, groups: [...groups].map(([name, list]) => ({ name, pairs: list })) };
}
