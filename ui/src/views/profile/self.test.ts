import { fireEvent, screen } from "@testing-library/svelte";
import { expect, test } from "vitest";
import { draw, openStudio } from "../../test/studio";
import SelfDescription from "./SelfDescription.svelte";

test("a saved description is read back as likes and avoids, and an unsaved one is not", async () => {
  const { studio } = await openStudio();
  const own = () => {
    if (!studio.profile) throw new Error("no profile is open");
    return studio.profile;
  };
  const { rerender } = draw(SelfDescription, studio, { profile: own() });
  const field = screen.getByRole("textbox", { name: "About yourself" });
  await fireEvent.input(field, { target: { value: "I like harbours. I avoid crowded bars." } });
  expect(screen.queryByText(/^Read as/)).toBeNull();
  await fireEvent.click(screen.getByRole("button", { name: "Save" }));
  await expect.poll(() => own().self_description).not.toBe("");
  await rerender({ profile: own() });
  await screen.findByText("Read as: likes harbours – avoids crowded bars.");
  await rerender({ profile: { ...own(), self_description: "" } });
  await expect.poll(() => screen.queryByText(/^Read as/)).toBeNull();
});
