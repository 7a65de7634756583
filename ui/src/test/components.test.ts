import { fireEvent, screen, waitFor } from "@testing-library/svelte";
import { expect, test, vi } from "vitest";
import BlindVote from "../lib/components/BlindVote.svelte";
import Slider from "../lib/components/Slider.svelte";
import { actionsOf, matching } from "../lib/state/actions";
import Compare from "../views/compare/Compare.svelte";
import DimensionRow from "../views/profile/DimensionRow.svelte";
import ImportRow from "../views/samples/ImportRow.svelte";
import { draw, openStudio } from "./studio";

const slider = { label: "Play", low: "serious", high: "playful", inferred: { score: 0.5, interval: [0.3, 0.7] as [number, number] }, onreset: () => {} };

test("the slider answers to keys, stays in range, and says its pole", async () => {
  const { studio } = await openStudio();
  const onset = vi.fn(async () => {});
  draw(Slider, studio, { ...slider, value: 0.5, set: false, onset });
  const range = screen.getByRole("slider", { name: "Play" });
  expect(range.getAttribute("aria-valuetext")).toBe("+0.50, towards: playful");
  const expected: [string, number][] = [["ArrowRight", 0.55], ["PageDown", 0.25], ["Home", -1], ["End", 1], ["0", 0]];
  for (const [key, score] of expected) {
    onset.mockClear();
    await fireEvent.keyDown(range, { key });
    expect(onset, key).toHaveBeenCalledWith(score);
    // Let go of it: what is stored is shown again.
    await waitFor(() => expect(range.getAttribute("aria-valuetext")).toBe("+0.50, towards: playful"));
  }
});

test("Delete forgets only what the person set, and the number box takes a number", async () => {
  const { studio } = await openStudio();
  const onset = vi.fn(async () => {});
  const onreset = vi.fn();
  const { rerender } = draw(Slider, studio, { ...slider, value: 0.5, set: false, onset, onreset });
  const range = screen.getByRole("slider", { name: "Play" });
  await fireEvent.keyDown(range, { key: "Delete" });
  expect(onreset).not.toHaveBeenCalled();
  await rerender({ ...slider, value: -0.2, set: true, onset, onreset });
  await fireEvent.keyDown(range, { key: "Delete" });
  expect(onreset).toHaveBeenCalledOnce();
  await fireEvent.change(screen.getByRole("spinbutton"), { target: { value: "7" } });
  expect(onset, "out of range is brought into range").toHaveBeenCalledWith(1);
});

test("a dimension that was set says what was inferred; without evidence it says that", async () => {
  const { studio } = await openStudio();
  const find = (id: string) => {
    const dimension = studio.status?.dimensions.find((d) => d.id === id);
    const reading = studio.portrait.view?.dimensions.find((r) => r.id === id);
    if (!dimension || !reading) throw new Error(`${id} is in the space`);
    return { dimension, reading };
  };
  await studio.portrait.setDimension("play", -0.3);
  draw(DimensionRow, studio, find("play"));
  expect(screen.getByText(/You set this; inferred was \+0\.55 \(\+0\.30 to \+0\.80\)/)).toBeTruthy();
  await studio.portrait.setDimension("autonomy", 0.5);
  draw(DimensionRow, studio, find("autonomy"));
  expect(screen.getByText(/You set this; your texts say too little to infer it/)).toBeTruthy();
  await studio.portrait.resetDimension("autonomy");
  expect(find("autonomy").reading.override).toBeNull();
});

test("a dimension that needs an object asks of what, and has no slider until it knows", async () => {
  const { studio, fake } = await openStudio();
  const dimension = studio.status?.dimensions.find((d) => d.id === "food_preference");
  const reading = studio.portrait.view?.dimensions.find((r) => r.id === "food_preference");
  if (!dimension || !reading) throw new Error("it is in the space");
  draw(DimensionRow, studio, { dimension, reading });
  expect(screen.queryByRole("slider")).toBeNull();
  await fireEvent.input(screen.getByLabelText(/Of what/), { target: { value: "spicy food" } });
  await fireEvent.click(screen.getByRole("button", { name: "Use" }));
  expect(fake.asked.at(-1)).toMatchObject({ type: "dimension_object", object: "spicy food" });
});

test("before a blind vote nothing drawn tells which draft is which; after it both are named", async () => {
  const { studio } = await openStudio();
  const { compare } = studio;
  draw(Compare, studio, {});
  compare.brief = "Tell the others";
  compare.setBlind("on");
  await compare.write();
  await screen.findByRole("group", { name: "Your vote" });
  const page = document.body.textContent ?? "";
  for (const word of ["Nothing personal", "Your habits", "Excerpts of yours", "tokens/s", "Style match", "trained voice"]) {
    expect(page, `“${word}” would tell`).not.toContain(word);
  }
  await fireEvent.keyDown(window, { key: "2" });
  await screen.findByText(/your pick/);
  expect(document.body.textContent).toContain("Nothing personal");
  expect(document.body.textContent).toContain("Your trained voice “My letters 1”, as trained");
});

test("vote keys are left alone in a field and with a modifier", async () => {
  const { studio } = await openStudio();
  const { blind } = studio.compare;
  blind.show({ id: "b-1", brief: "x", left: "one", right: "two", number: 1, of: 1 });
  const onvote = vi.fn();
  draw(BlindVote, studio, { blind, onvote, onnext: () => {}, nextWords: "Next" });
  const field = document.createElement("textarea");
  document.body.append(field);
  await fireEvent.keyDown(field, { key: "1" });
  await fireEvent.keyDown(window, { key: "1", ctrlKey: true });
  expect(onvote).not.toHaveBeenCalled();
  await fireEvent.keyDown(window, { key: "0" });
  expect(onvote).toHaveBeenCalledWith("tie");
  field.remove();
});

test("an import names everyone whose words are in it, and starts only once somebody is picked", async () => {
  const { studio } = await openStudio();
  await studio.samples.importFiles(["t-mailbox"]);
  const item = studio.samples.imports[0];
  if (!item) throw new Error("the import is listed");
  draw(ImportRow, studio, { item });
  const go = screen.getByRole<HTMLButtonElement>("button", { name: "Import my words" });
  expect(go.disabled).toBe(true);
  await fireEvent.click(screen.getByRole("checkbox", { name: /Maren Halloran/ }));
  expect(go.disabled).toBe(false);
  await fireEvent.click(go);
  expect(await screen.findByText(/2 texts kept/)).toBeTruthy();
  expect(screen.getByText(/14 messages by other people, 3 quoted replies/)).toBeTruthy();
  expect(screen.getByText(/1 long text was cut between paragraphs/)).toBeTruthy();
  expect(screen.getByText(/1 mail had no plain text/)).toBeTruthy();
  expect(screen.getByText(/more texts than are taken from one file/)).toBeTruthy();
});

test("the palette finds actions by their words and shows dimensions only when typed for", async () => {
  const { studio } = await openStudio();
  const all = actionsOf(studio);
  expect(matching(all, "").some((a) => a.name.startsWith("Set dimension"))).toBe(false);
  expect(matching(all, "dimension play").map((a) => a.name)).toEqual(["Set dimension: Need for Play"]);
  expect(matching(all, "samp").map((a) => a.name)).toContain("Go to Samples");
  expect(new Set(all.map((a) => a.name)).size, "every name says one thing").toBe(all.length);
});
