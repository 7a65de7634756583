import { fireEvent, screen } from "@testing-library/svelte";
import { expect, test } from "vitest";
import { draw, openStudio } from "../../test/studio";
import DraftColumn from "../../views/compare/DraftColumn.svelte";
import { methodWords, sideWords, tokensFor } from "./column.svelte";

test("methods are in words, and the empty one says so", () => {
  expect(["base", "hypotheses", "hypotheses+excerpts"].map(methodWords)).toEqual([
    "Nothing personal",
    "Your habits",
    "Your habits + excerpts of yours",
  ]);
  expect(tokensFor(120), "¾ of a word a token, and a fifth to spare").toBe(192);
});

test("sides of a result are in words, whichever way Rust names them", () => {
  const adapters = [{ id: "a-1", name: "My letters 1" }];
  const words = ["base", "hypotheses", "base + trained voice a-1 at 1", "excerpts + trained voice a-1 at 0.8", "trained voice “My letters 1”", "base + trained voice a-2 at 1"];
  expect(words.map((side) => sideWords(side, adapters))).toEqual([
    "Nothing personal",
    "Your habits",
    "Your trained voice “My letters 1” at 1.0",
    "Excerpts of yours, with your trained voice “My letters 1” at 0.8",
    "Your trained voice “My letters 1”",
    "Your trained voice that was deleted at 1.0",
  ]);
});

test("all columns stream together under one request and keep their drafts", async () => {
  const { studio, fake } = await openStudio();
  const { compare } = studio;
  compare.brief = "Tell the others I cannot come on Saturday";
  const writing = compare.write();
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(compare.columns.every((column) => column.text.length > 0 && column.writing), "every column grows at once").toBe(true);
  await writing;
  expect(fake.asked.filter((r) => r.type === "write")).toHaveLength(1);
  expect(compare.columns.map((column) => column.draft?.method)).toEqual(["base", "hypotheses", "excerpts", "base"]);
  expect(compare.columns.every((column) => column.text === column.draft?.text)).toBe(true);
});

test("stopping keeps what was written so far", async () => {
  const { studio } = await openStudio();
  const { compare } = studio;
  compare.brief = "Tell the others";
  const writing = compare.write();
  await new Promise((resolve) => setTimeout(resolve, 20));
  await compare.stop();
  await writing;
  const column = compare.columns[0];
  expect(column?.draft?.ended).toBe("cancelled");
  expect(column?.text.length).toBeGreaterThan(0);
  expect(compare.error, "stopping is not a failure").toBeNull();
});

test("writing again uses a new seed in that column alone", async () => {
  const { studio, fake } = await openStudio();
  const { compare } = studio;
  compare.brief = "Tell the others";
  await compare.write();
  const column = compare.columns[1];
  if (!column) throw new Error("there are three columns");
  await compare.again(column);
  const last = fake.asked.filter((r) => r.type === "write").at(-1);
  expect(last?.type === "write" && last.columns.map((c) => c.sampling.seed)).toEqual([2]);
  expect(compare.columns[0]?.draft?.sampling.seed).toBe(1);
});

test("a difference is asked for against the chosen column", async () => {
  const { studio } = await openStudio();
  const { compare } = studio;
  compare.brief = "Tell the others";
  await compare.write();
  const [base, habits] = compare.columns;
  if (!base || !habits) throw new Error("there are three columns");
  await compare.setDiff(habits, base.key);
  expect(new Set(habits.diff?.map((p) => p.side))).toEqual(new Set(["left", "right", "same"]));
  const right = habits.diff?.filter((p) => p.side !== "left").map((p) => p.text).join("");
  expect(right, "without what is only in the other it reads as the draft").toBe(habits.draft?.text);
});

test("blind mode throws away drafts that were seen with their names and takes a new seed", async () => {
  const { studio, fake } = await openStudio();
  const { compare } = studio;
  compare.brief = "Tell the others";
  await compare.write();
  compare.setBlind("on");
  expect(compare.columns.every((column) => column.draft === null && column.text === "")).toBe(true);
  await compare.write();
  const last = fake.asked.filter((r) => r.type === "write").at(-1);
  expect(last?.type === "write" && last.columns.map((c) => c.sampling.seed)).toEqual([2, 2]);
  expect(compare.blind.pair).not.toBeNull();
  expect(compare.blind.voted).toBeNull();
});

test("a vote is cast once, and says what was what", async () => {
  const { studio, fake } = await openStudio();
  const { compare } = studio;
  compare.brief = "Tell the others";
  compare.setBlind("on");
  await compare.write();
  await Promise.all([compare.blind.cast("left"), compare.blind.cast("right")]);
  expect(fake.asked.filter((r) => r.type === "vote_cast"), "a second key press does not vote again").toHaveLength(1);
  expect(compare.blind.voted?.tally.n).toBe(1);
  expect(compare.blind.tally?.words).toBe("not enough votes yet");
});

test("“as me” has a column for the trained voice once there is one, and takes no for an answer", async () => {
  const { studio } = await openStudio();
  const { compare } = studio;
  expect(compare.columns.map((column) => [column.method, column.adapter])).toEqual([
    ["base", null],
    ["hypotheses", null],
    ["excerpts", null],
    ["base", "a-000000000001"],
  ]);
  compare.removeColumn(compare.columns[3]?.key ?? -1);
  await studio.reload();
  expect(compare.columns).toHaveLength(3);
  await studio.switchTo("p-000000000002");
  expect(compare.columns, "a profile without a voice has no such column").toHaveLength(3);
});

test("a voice that was made on another model is not offered", async () => {
  const { studio, fake } = await openStudio();
  await studio.switchTo("p-000000000002");
  fake.studio.adapters = fake.studio.adapters.map((adapter) => ({ ...adapter, model: "qwen3-1.7b" }));
  await studio.switchTo("p-000000000001");
  expect(studio.compare.columns.every((column) => column.adapter === null)).toBe(true);
});

test("the brief stays the person's words; its length is asked for apart from it", async () => {
  const { studio, fake } = await openStudio();
  const { compare } = studio;
  compare.brief = "Tell the others ";
  compare.words = 40;
  compare.setBlind("on");
  await compare.write();
  expect(fake.asked.find((r) => r.type === "write")).toMatchObject({ brief: "Tell the others", words: 40 });
  expect(compare.blind.pair?.brief).toBe("Tell the others");
});

test("after a blind vote the results below are those with it", async () => {
  const { studio } = await openStudio();
  const { compare } = studio;
  compare.brief = "Tell the others";
  compare.setBlind("on");
  await compare.write();
  expect(compare.tallies).toEqual([]);
  await compare.blind.cast("left");
  await expect.poll(() => compare.tallies.map((tally) => tally.n)).toEqual([1]);
});

test("a draft goes on saying what it was made with after its column was set otherwise", async () => {
  const { studio } = await openStudio();
  const { compare } = studio;
  compare.brief = "Tell the others";
  compare.seed = 7;
  await compare.write();
  const column = compare.columns[1];
  if (!column) throw new Error("there are columns");
  expect(column.changed).toBe(false);
  draw(DraftColumn, studio, { column, number: 2 });
  column.toggle("excerpts");
  compare.seed = 9;
  await screen.findByText("Next draft: Your habits + excerpts of yours");
  expect(screen.getByRole("heading", { level: 2 }).textContent).toBe("2 Your habits");
  expect(screen.getByText("Seed").nextElementSibling?.textContent, "the draft's own").toBe("7");
});

test("a draft can be put into one's own words and added to the samples; the draft stays", async () => {
  const { studio, fake } = await openStudio();
  const { compare } = studio;
  compare.brief = "Tell the others";
  await compare.write();
  const column = compare.columns[1];
  if (!column?.draft) throw new Error("it was written");
  draw(DraftColumn, studio, { column, number: 2 });
  await fireEvent.click(screen.getByRole("button", { name: "Edit" }));
  const box = screen.getByRole<HTMLTextAreaElement>("textbox", { name: "Your version of draft 2" });
  expect(box.value).toBe(column.draft.text);
  const add = screen.getByRole<HTMLButtonElement>("button", { name: "Add to my samples" });
  expect(add.disabled, "the model's own words are no sample of the person's").toBe(true);
  await fireEvent.input(box, { target: { value: "So, no Saturday for me. Start without me, and mind the corner post." } });
  await fireEvent.click(add);
  await expect.poll(() => fake.asked.some((r) => r.type === "sample_add" && r.text.startsWith("So, no Saturday"))).toBe(true);
  await expect.poll(() => screen.queryByRole("textbox", { name: /Your version/ })).toBeNull();
  expect(compare.columns[1]?.text).toBe(column.draft.text);
});

test("one's own version of a draft and a thumb are kept with it, and can be taken back", async () => {
  const { studio, fake } = await openStudio();
  const { compare } = studio;
  compare.brief = "Tell the others";
  await compare.write();
  const column = compare.columns[1];
  const draft = column?.draft;
  if (!column || !draft) throw new Error("it was written");
  draw(DraftColumn, studio, { column, number: 2 });
  await fireEvent.click(screen.getByRole("button", { name: "Edit" }));
  const box = screen.getByRole<HTMLTextAreaElement>("textbox", { name: "Your version of draft 2" });
  const keep = screen.getByRole<HTMLButtonElement>("button", { name: "Keep my version" });
  expect(keep.disabled, "nothing was changed yet").toBe(true);
  await fireEvent.input(box, { target: { value: "So, no Saturday for me." } });
  await fireEvent.click(keep);
  await screen.findByText("Your version is kept");
  expect(fake.asked.find((r) => r.type === "draft_edit")).toEqual({ type: "draft_edit", draft: draft.id, text: "So, no Saturday for me." });
  expect(compare.columns[1]?.draft?.text, "the draft stays").toBe(draft.text);
  await fireEvent.click(screen.getByRole("button", { name: "Edit" }));
  expect(screen.getByRole<HTMLTextAreaElement>("textbox").value, "editing goes on from there").toBe("So, no Saturday for me.");
  await fireEvent.click(screen.getByRole("button", { name: "Back to the draft" }));
  await fireEvent.click(screen.getByRole("button", { name: "Forget my version" }));
  await expect.poll(() => screen.queryByText("Your version is kept")).toBeNull();

  const down = screen.getByRole("button", { name: "Less like this in draft 2" });
  await fireEvent.click(down);
  await expect.poll(() => down.getAttribute("aria-pressed")).toBe("true");
  await fireEvent.click(screen.getByRole("button", { name: "More like this in draft 2" }));
  await expect.poll(() => compare.columns[1]?.draft?.thumb).toBe("up");
  expect(down.getAttribute("aria-pressed")).toBe("false");
  await fireEvent.click(screen.getByRole("button", { name: "More like this in draft 2" }));
  await expect.poll(() => compare.columns[1]?.draft?.thumb).toBeNull();
});

test("a voice is used with what its prompts were trained under, and a retired one is not offered", async () => {
  const { studio } = await openStudio();
  const { compare, align } = studio;
  const column = compare.columns[0];
  const voice = align.adapters[0];
  if (!column || !voice) throw new Error("there are both");
  column.speakAs({ id: voice.id, method: "hypotheses+excerpts" });
  expect([column.adapter, column.method]).toEqual([voice.id, "hypotheses+excerpts"]);
  column.speakAs({ id: voice.id, method: "base" });
  expect(column.method, "a voice for bare prompts takes nothing away").toBe("hypotheses+excerpts");
  column.speakAs(null);
  align.adapters = [{ ...voice, retired_at: "2026-11-21T12:00:00Z" }];
  compare.clear();
  compare.offerVoice();
  expect(compare.columns.every((c) => c.adapter === null)).toBe(true);
  align.adapters = [{ ...voice, method: "excerpts" }];
  compare.offerVoice();
  expect(compare.columns.at(-1)).toMatchObject({ adapter: voice.id, method: "excerpts" });
});
