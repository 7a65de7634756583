import { fireEvent, screen } from "@testing-library/svelte";
import { expect, test } from "vitest";
import { draw, openStudio } from "../../test/studio";
import Profile from "../../views/profile/Profile.svelte";

const typed = {
  self: "I garden, and I like short answers.",
  claim: "I never open with “I hope”",
  words: "I use dashes — a lot.",
  object: "spicy food",
  summary: "Writes short.",
};

function field(name: RegExp | string) {
  return screen.getByRole<HTMLTextAreaElement>("textbox", { name });
}

test("what was typed and not saved is there again after another view, and after another profile", async () => {
  const { studio } = await openStudio();
  studio.portrait.search = "food";
  let { unmount } = draw(Profile, studio, {});
  await fireEvent.click(screen.getByRole("button", { name: "Add your own" }));
  await fireEvent.click(screen.getAllByRole("button", { name: "Edit" })[0] as HTMLElement);
  await fireEvent.input(field("About yourself"), { target: { value: typed.self } });
  await fireEvent.input(field(/^Something about how you write/), { target: { value: typed.claim } });
  await fireEvent.input(field("In your words"), { target: { value: typed.words } });
  await fireEvent.input(field(/^Of what/), { target: { value: typed.object } });
  await fireEvent.input(field(/^Summary/), { target: { value: typed.summary } });
  const fields = () => [field("About yourself"), field(/^Something about how you write/), field("In your words"), field(/^Of what/), field(/^Summary/)].map((f) => f.value);
  unmount();
  ({ unmount } = draw(Profile, studio, {}));
  expect(fields()).toEqual(Object.values(typed));
  unmount();
  await studio.switchTo("p-000000000002");
  expect(studio.portrait.summary.text, "another profile has its own").toBe("");
  await studio.switchTo("p-000000000001");
  draw(Profile, studio, {});
  expect(fields()).toEqual(Object.values(typed));
});

test("what was saved or discarded is not unsaved any more; what was refused still is", async () => {
  const { studio, fake } = await openStudio();
  draw(Profile, studio, {});
  await fireEvent.input(field("About yourself"), { target: { value: typed.self } });
  fake.failNext("profile_describe", { code: "disk_full", message: "The disk is full.", hint: "Free some space." });
  const save = () => screen.getAllByRole<HTMLButtonElement>("button", { name: "Save" }).at(-1) as HTMLButtonElement;
  await fireEvent.click(save());
  await screen.findByText("The disk is full.");
  expect(field("About yourself").value, "nothing typed is lost").toBe(typed.self);
  expect(save().disabled).toBe(false);
  await fireEvent.click(save());
  await expect.poll(() => studio.profile?.self_description).toBe(typed.self);
  await expect.poll(() => save().disabled).toBe(true);
  await fireEvent.input(field("About yourself"), { target: { value: "Something else" } });
  await fireEvent.click(screen.getByRole("button", { name: "Discard my changes" }));
  expect(field("About yourself").value).toBe(typed.self);
});
