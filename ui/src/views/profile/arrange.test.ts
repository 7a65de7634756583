import { expect, test } from "vitest";
import { dimensions, makeReadings, makeSample } from "../../lib/backend/fake/data";
import { arrange } from "./arrange";

const samples = Array.from({ length: 12 }, (_, n) => makeSample("p-1", n));
const readings = makeReadings(samples, false);

test("leaning dimensions come first, strongest first, and no dimension is shown twice", () => {
  const { first, groups, found } = arrange(dimensions, readings, "");
  expect(found).toBeNull();
  expect(first[0]?.dimension.id).toBe("communication_style");
  expect(first.at(-1)?.dimension.id, "known but without leaning comes last").toBe("openness");
  const shown = [...first, ...groups.flatMap((g) => g.pairs)].map((p) => p.dimension.id);
  expect(new Set(shown).size).toBe(shown.length);
  expect(shown.length).toBe(dimensions.filter((d) => !d.sensitive).length);
});

test("what the person set comes up among the first", () => {
  const set = readings.map((r) => (r.id === "autonomy" ? { ...r, override: -0.9 } : r));
  expect(arrange(dimensions, set, "").first[0]?.dimension.id).toBe("autonomy");
});

test("sensitive ones are left out until they are on, also from a search", () => {
  expect(arrange(dimensions, readings, "gender").found?.map((p) => p.dimension.id)).not.toContain("gender");
  expect(arrange(dimensions, makeReadings(samples, true), "gender").found?.map((p) => p.dimension.id)).toContain("gender");
});

test("a search looks at poles too", () => {
  expect(arrange(dimensions, readings, "short point").found?.map((p) => p.dimension.id)).toContain("communication_style");
});
