import { fireEvent, screen } from "@testing-library/svelte";
import { expect, test } from "vitest";
import { draw, openStudio } from "../../test/studio";
import Prepare from "../../views/align/Prepare.svelte";
import { ingredientWords } from "./column.svelte";
import { defaultSettings, tidySettings, withIngredient } from "./training";

test("a run grows its curve and ends with a voice in the list", async () => {
  const { studio } = await openStudio();
  const { align } = studio;
  await align.check();
  expect(align.preflight?.ready).toBe(true);
  const training = align.train();
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(align.live?.curve.length).toBeGreaterThan(0);
  await training;
  expect(align.live).toBeNull();
  expect(align.finished?.run.status).toBe("finished");
  expect(align.adapters[0]?.id).toBe(align.finished?.adapter?.id);
  expect(align.adapters[0]?.name, "as the empty field said it would be called").toBe("My letters 2");
});

test("a run that is stopped keeps the best; one that is discarded keeps nothing", async () => {
  const { studio } = await openStudio();
  const { align } = studio;
  for (const how of ["best", "nothing"] as const) {
    const before = align.adapters.length;
    const training = align.train();
    await new Promise((resolve) => setTimeout(resolve, 30));
    const job = align.live?.job;
    if (job == null) throw new Error("the run became a job");
    await (how === "best" ? studio.keepBest(job) : studio.stopJob(job));
    await training;
    expect(align.adapters.length - before, how).toBe(how === "best" ? 1 : 0);
  }
});

test("a blind test goes through every pair once, and comes back to those that wait", async () => {
  const { studio, fake } = await openStudio();
  const { align } = studio;
  await align.startRetest("a-000000000001", 3);
  expect(align.retest?.waiting).toHaveLength(3);
  await align.vote("left");
  align.leaveRetest();
  await align.startRetest("a-000000000001", 3);
  expect(align.retest?.waiting, "the two that wait, not three new ones").toHaveLength(2);
  expect(fake.asked.filter((r) => r.type === "retest_start")).toHaveLength(1);
  await align.vote("tie");
  align.nextPair();
  await align.vote("skip");
  align.nextPair();
  expect(align.blind.pair).toBeNull();
  expect(align.retest?.tally.n, "a skip is not counted").toBe(2);
});

test("an emptied or impossible field never reaches Rust", () => {
  const emptied = { ...defaultSettings, epochs: null as unknown as number, rank: 9.6, held_out: 3, seed: -4 };
  expect(tidySettings(emptied)).toEqual({ ...defaultSettings, rank: 10, alpha: 20, held_out: 0.5, seed: 0 });
});

test("what is preferred can be learned from, and little of it only when the person insists", async () => {
  const { studio, fake } = await openStudio();
  const { align } = studio;
  draw(Prepare, studio, {});
  align.settings.objective = "dpo";
  await align.check();
  expect(align.preflight?.ready).toBe(false);
  studio.compare.brief = "Tell the others";
  await studio.compare.write();
  const draft = studio.compare.columns[0]?.draft;
  if (!draft) throw new Error("it was written");
  await studio.compare.edit(draft, "As I would have put it.");
  await align.check();
  expect(align.preflight?.too_little).toContain("preference");
  await fireEvent.click(await screen.findByRole("button", { name: "Train anyway" }));
  await expect.poll(() => fake.asked.some((r) => r.type === "align_sft" && r.anyway && r.settings.objective === "dpo")).toBe(true);
  await expect.poll(() => align.finished?.run.objective).toBe("dpo");
});

test("settings that need less memory are taken with a button, and three steps say how long it takes", async () => {
  const { studio } = await openStudio();
  const { align } = studio;
  draw(Prepare, studio, {});
  await align.check();
  await fireEvent.click(await screen.findByRole("button", { name: "Take these settings, step 1" }));
  expect(align.settings.recompute).toBe(true);
  await align.check();
  expect(align.preflight?.measured).toBe(false);
  await fireEvent.click(await screen.findByRole("button", { name: "Measure with three steps" }));
  await expect.poll(() => align.preflight?.measured).toBe(true);
  await fireEvent.click(screen.getByRole("checkbox", { name: ingredientWords.excerpts }));
  expect(align.settings.method).toBe("excerpts");
  expect([withIngredient("hypotheses", "excerpts"), withIngredient("excerpts", "excerpts")]).toEqual(["hypotheses+excerpts", "base"]);
});

test("a training that was cut short goes on, or is given up", async () => {
  const { studio, fake } = await openStudio();
  const { align } = studio;
  await align.load();
  const run = align.runs[0];
  if (!run) throw new Error("there is one");
  expect(align.cutShort).toBeNull();
  align.runs = [{ ...run, id: "r-9", status: "cut_short", resumable: true, adapter: null }];
  draw(Prepare, studio, {});
  await fireEvent.click(await screen.findByRole("button", { name: "Discard it" }));
  expect(fake.asked.at(-1)).toEqual({ type: "run_discard", run: "r-9" });
  align.error = null;
  align.runs = [{ ...run, status: "cut_short", resumable: true, adapter: null }];
  await fireEvent.click(await screen.findByRole("button", { name: "Go on with it" }));
  await expect.poll(() => fake.asked.some((r) => r.type === "run_resume" && r.run === run.id)).toBe(true);
  await expect.poll(() => align.finished?.run.status).toBe("finished");
});
