import { fireEvent, screen } from "@testing-library/svelte";
import { expect, test, vi } from "vitest";
import { draw, openStudio } from "../../test/studio";
import BlindTest from "../../views/align/BlindTest.svelte";
import Measured from "../../views/align/Measured.svelte";
import Prepare from "../../views/align/Prepare.svelte";
import Voices from "../../views/align/Voices.svelte";
import RemovedDialog from "../../views/samples/RemovedDialog.svelte";
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

test("a voice is measured by itself after its training", async () => {
  const { studio, fake } = await openStudio();
  const { align } = studio;
  await align.train();
  await vi.waitFor(() => expect(align.finished?.adapter?.report?.bits_wrong_author).toBeCloseTo(4.71));
  expect(align.measured).toBeNull();
  expect(fake.asked.filter((r) => r.type === "adapter_measure")).toHaveLength(1);
  draw(Measured, studio, { adapter: align.adapters[0] });
  expect(screen.getByText(/by more than chance/)).toBeTruthy();
});

test("voices go out, come in and are mixed", async () => {
  const { studio, fake } = await openStudio();
  const { align } = studio;
  await align.train();
  const [first, second] = align.adapters;
  if (!first || !second) throw new Error("two voices");
  draw(Voices, studio, {});
  await fireEvent.click(screen.getByRole("button", { name: new RegExp(`^Export….*${first.name}$`) }));
  await fireEvent.click(screen.getByRole("radio", { name: /For Python/ }));
  await fireEvent.click(screen.getByRole("button", { name: "Choose where…" }));
  expect(await screen.findByText(/Read again it does the same/)).toBeTruthy();
  expect(fake.asked.find((r) => r.type === "adapter_export")).toMatchObject({ form: "peft", adapter: first.id });
  await fireEvent.click(screen.getByRole("button", { name: new RegExp(`^Mix….*${first.name}$`) }));
  await fireEvent.click(screen.getByRole("button", { name: "Mix" }));
  await vi.waitFor(() => expect(align.adapters).toHaveLength(3));
  expect(fake.asked.find((r) => r.type === "adapter_stack")).toMatchObject({ parts: [{ id: first.id, scale: 0.5 }, { scale: 0.5 }] });
  await align.importVoice();
  await vi.waitFor(() => expect(align.adapters).toHaveLength(4));
  expect(screen.getByText(/Brought in from a GGUF adapter/)).toBeTruthy();
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

test("a voice is tested against another one, each comparison with votes of its own", async () => {
  const { studio, fake } = await openStudio();
  const { align } = studio;
  await align.train();
  const [fresh, old] = align.adapters;
  if (!fresh || !old) throw new Error("two voices are there");
  expect(align.rivals(fresh).map((rival) => rival.id)).toEqual([old.id]);
  draw(BlindTest, studio, { adapter: fresh, words: "Test it blind" });
  await fireEvent.change(screen.getByLabelText(`Compare “${fresh.name}” with`), { target: { value: old.id } });
  await fireEvent.change(screen.getByLabelText(/Pairs in a blind test/), { target: { value: "2" } });
  await fireEvent.click(screen.getByRole("button", { name: /Test it blind/ }));
  await vi.waitFor(() => expect(align.retest?.waiting).toHaveLength(2));
  expect(fake.asked.find((r) => r.type === "retest_start")).toMatchObject({ adapter: fresh.id, against: old.id, pairs: 2 });
  await align.vote("left");
  expect(align.retest?.tally).toMatchObject({ n: 1, against: `base + trained voice ${old.id} at 1` });
  expect(align.retest?.tally.words).toContain(`“${fresh.name}” wins`);
  align.leaveRetest();
  align.holdAgainst(fresh.id, null);
  await align.startRetest(fresh.id, 1);
  expect(align.retest?.tally.n, "nothing yet against the plain model").toBe(0);
  align.leaveRetest();

  // Such votes teach nothing until they are ticked.
  align.settings.objective = "dpo";
  await align.check();
  expect(align.preflight?.retests).toBe(0);
  draw(Prepare, studio, {});
  await fireEvent.click(screen.getByLabelText("Votes of blind tests"));
  await align.check();
  expect(align.preflight?.retests).toBe(1);
  expect(screen.getByText(/leave out the briefs it learned from/)).toBeTruthy();
});

test("a sample that goes names the voices that learned from it, to be retired or trained anew", async () => {
  const { studio, fake } = await openStudio();
  const { align, samples } = studio;
  const [voice] = align.adapters;
  const [sample] = voice?.samples ?? [];
  if (!voice || !sample) throw new Error("a voice with samples is there");
  const { gone } = await studio.ask({ type: "sample_remove", sample }, "gone");
  await samples.load();
  const dialog = draw(RemovedDialog, studio, { gone, onclose: () => dialog.unmount() });
  await fireEvent.click(screen.getByRole("button", { name: /^Retire/, hidden: true }));
  await vi.waitFor(() => expect(align.adapters[0]?.retired_at).not.toBeNull());
  await fireEvent.click(screen.getByRole("button", { name: /^Train anew/, hidden: true }));
  await vi.waitFor(() => expect(align.adapters).toHaveLength(2), { timeout: 4000 });
  expect(fake.asked.find((r) => r.type === "adapter_retrain")).toMatchObject({ adapter: voice.id });
  expect(align.adapters[0]?.name).toBe(`${voice.name} (anew)`);
});
