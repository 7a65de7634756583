/** Answers that come after the person went to another profile: they are stored, and never land on the new one's screen. */
import { expect, test } from "vitest";
import { openStudio } from "../../test/studio";
import type { Request, UserError } from "../generated/bindings";
import type { Studio } from "./studio.svelte";

const letters = "p-000000000001";
const work = "p-000000000002";
const full: UserError = { code: "disk_full", message: "The disk is full.", hint: "Free some space." };

/** Begins `work` on the letters, goes to the other profile before the answer to `type` comes, then lets it come. */
async function overtaken(type: Request["type"], begin: (studio: Studio) => Promise<unknown>) {
  const { studio, fake } = await openStudio();
  const release = fake.holdNext(type);
  const begun = begin(studio);
  await expect.poll(() => fake.asked.some((request) => request.type === type)).toBe(true);
  await studio.switchTo(work);
  release();
  await begun;
  return { studio, fake };
}

function errors(studio: Studio) {
  const { samples, portrait, compare, align } = studio;
  return [samples.error, portrait.error, portrait.summary.error, compare.error, compare.blind.error, align.error];
}

test("drafts, lists and results of a profile stay with it", async () => {
  for (const type of ["draft_list", "vote_tally", "sample_list", "profile_show", "run_list"] as const) {
    const { studio } = await overtaken(type, (studio) => studio.reload());
    expect(studio.samples.list, type).toEqual([]);
    expect(studio.portrait.view?.profile.id, type).toBe(work);
    expect(studio.align.adapters, type).toEqual([]);
    expect(studio.compare.kept, type).toEqual([]);
  }
});

test("drafts that end in another profile are in no column there, and writing can begin", async () => {
  const { studio } = await overtaken("write", (studio) => {
    studio.compare.brief = "Tell the others";
    return studio.compare.write();
  });
  expect(studio.compare.columns.every((column) => column.text === "" && !column.draft && !column.writing)).toBe(true);
  expect(studio.compare.writing).toBe(false);
});

test("a blind pair and its vote stay in their profile", async () => {
  for (const type of ["blind_pair", "write"] as const) {
    const { studio } = await overtaken(type, (studio) => {
      studio.compare.brief = "Tell the others";
      studio.compare.setBlind("on");
      return studio.compare.write();
    });
    expect(studio.compare.blind.pair, type).toBeNull();
  }
  const { studio } = await overtaken("vote_cast", async (studio) => {
    studio.compare.brief = "Tell the others";
    studio.compare.setBlind("on");
    await studio.compare.write();
    await studio.compare.blind.cast("left");
  });
  expect([studio.compare.blind.voted, studio.compare.blind.tally]).toEqual([null, null]);
  expect(studio.compare.blind.voting).toBe(false);
});

test("a blind test that ends in another profile does not open there", async () => {
  for (const type of ["retest_show", "retest_start"] as const) {
    const { studio } = await overtaken(type, (studio) => studio.align.startRetest("a-000000000001", 2));
    expect(studio.align.retest, type).toBeNull();
    expect(studio.align.retesting, type).toBe(false);
  }
});

test("a check that was overtaken is made again for the profile on screen", async () => {
  const { studio, fake } = await openStudio();
  const release = fake.holdNext("align_preflight");
  const first = studio.align.check();
  await studio.switchTo(work);
  await studio.align.check();
  release();
  await first;
  expect(studio.align.preflight?.samples, "the other profile has none").toBe(0);
  expect(fake.asked.filter((r) => r.type === "align_preflight").map((r) => "profile" in r && r.profile)).toEqual([letters, work]);
});

test("a training goes on in its own profile and is found there again", async () => {
  const { studio, fake } = await openStudio();
  const release = fake.holdNext("align_sft");
  const training = studio.align.train();
  await expect.poll(() => studio.align.live?.curve.length ?? 0).toBeGreaterThan(0);
  await studio.switchTo(work);
  expect(studio.align.live, "nothing trains here").toBeNull();
  await studio.switchTo(letters);
  expect(studio.align.live?.curve.length).toBeGreaterThan(0);
  await studio.switchTo(work);
  release();
  await training;
  expect([studio.align.finished, studio.align.live]).toEqual([null, null]);
  await studio.switchTo(letters);
  expect(studio.align.live).toBeNull();
  expect(studio.align.adapters).toHaveLength(2);
});

test("what is set, decided or read in one profile changes nothing in the other", async () => {
  const set = await overtaken("dimension_set", (studio) => studio.portrait.setDimension("play", -0.5));
  expect(set.studio.portrait.view?.dimensions.find((r) => r.id === "play")?.override).toBeNull();
  const added = await overtaken("hypothesis_add", (studio) => studio.portrait.addHypothesis("I never say “very”."));
  expect(added.studio.portrait.view?.hypotheses).toEqual([]);
  const read = await overtaken("infer", (studio) => studio.portrait.infer());
  expect(read.studio.portrait.view?.profile.id).toBe(work);
  expect(read.studio.portrait.inferring).toBe(false);
  const summary = await overtaken("summary_generate", (studio) => studio.portrait.summary.regenerate());
  expect([summary.studio.portrait.summary.text, summary.studio.portrait.summary.proposal, summary.studio.portrait.summary.busy]).toEqual(["", null, false]);
});

test("a dimension set just before leaving is set in the profile it was set in", async () => {
  const { studio, fake } = await openStudio();
  const release = fake.holdNext("dimension_set");
  const first = studio.portrait.setDimension("play", 0.2);
  const second = studio.portrait.setDimension("openness", 0.4);
  await studio.switchTo(work);
  release();
  await Promise.all([first, second]);
  const asked = fake.asked.flatMap((r) => (r.type === "dimension_set" ? [[r.profile, r.dimension]] : []));
  expect(asked).toEqual([
    [letters, "play"],
    [letters, "openness"],
  ]);
});

test("a file dropped on one profile never comes into another", async () => {
  const { studio, fake } = await openStudio();
  const release = fake.holdNext("import_scan");
  const importing = studio.samples.importFiles(["t-document"]);
  await studio.switchTo(work);
  expect(studio.samples.imports, "it is not this profile's").toEqual([]);
  release();
  await importing;
  expect(fake.asked.find((r) => r.type === "import_run")).toMatchObject({ profile: letters });
  expect(studio.samples.list).toEqual([]);
  await studio.switchTo(letters);
  expect(studio.samples.imports.map((item) => item.step), "its counts wait there").toEqual(["done"]);
});

test("an error of one profile is not shown in the other", async () => {
  for (const [type, begin] of [
    ["draft_list", (studio: Studio) => studio.compare.load()],
    ["align_preflight", (studio: Studio) => studio.align.check()],
    ["infer", (studio: Studio) => studio.portrait.infer()],
    ["sample_list", (studio: Studio) => studio.samples.load()],
  ] as const) {
    const { studio, fake } = await openStudio();
    const release = fake.holdNext(type);
    fake.failNext(type, full);
    const begun = begin(studio);
    const gone = studio.switchTo(work);
    release();
    await Promise.all([begun, gone]);
    expect(errors(studio), type).toEqual([null, null, null, null, null, null]);
  }
});

test("a training that this page did not start is shown, with its job, until it ends with its report", async () => {
  const { studio, fake } = await openStudio();
  const run = fake.studio.runs[0];
  if (!run) throw new Error("the letters come with a run");
  const ended = { ...run, id: "r-2", status: "finished" as const };
  fake.studio.runs = [{ ...ended, status: "running", adapter: null }, run];
  fake.studio.jobs = [{ job: 9, label: "Training “My letters”", paused: false, can_pause: true }];
  await studio.refresh();
  await studio.reload();
  expect(studio.align.live).toMatchObject({ job: 9, elsewhere: true, curve: run.curve });
  await studio.align.train();
  expect(fake.asked.some((r) => r.type === "align_sft"), "one training at a time").toBe(false);
  fake.studio.runs = [ended, run];
  fake.studio.jobs = [];
  fake.studio.revision += 1;
  await studio.refresh();
  expect(studio.align.live).toBeNull();
  expect(studio.align.finished?.run.id).toBe("r-2");
});
