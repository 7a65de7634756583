import { fireEvent, screen, waitFor, within } from "@testing-library/svelte";
import { expect, test } from "vitest";
import Notice from "../../lib/components/Notice.svelte";
import { draw, openStudio } from "../../test/studio";
import ModelRow from "./ModelRow.svelte";

async function row(id: string) {
  const { studio, fake } = await openStudio();
  await studio.models.load();
  const model = studio.models.list.find((m) => m.id === id);
  if (!model) throw new Error(`${id} is in the list`);
  draw(ModelRow, studio, { model });
  return { studio, fake };
}

test("Check says of each finding what it means and what to do next", async () => {
  await row("old-file");
  await fireEvent.click(screen.getByRole("button", { name: /^Check/ }));
  expect(await screen.findByText(/cannot be used as it is/)).toBeTruthy();
  const item = screen.getByText(/reaches past the end/).closest("li");
  if (!item) throw new Error("a finding is a list item");
  expect(within(item).getByText("broken:")).toBeTruthy();
  expect(within(item).getByText(/refused when it is loaded/)).toBeTruthy();
  expect(within(item).getByText(/copy the file again/)).toBeTruthy();
  expect(screen.queryByRole("button", { name: /^Load anyway/ })).toBeNull();
});

test("a model that memory is short for can be insisted on", async () => {
  const { fake } = await row("smollm2-135m-instruct");
  await fireEvent.click(screen.getByRole("button", { name: /^Check/ }));
  await fireEvent.click(await screen.findByRole("button", { name: /^Load anyway/ }));
  await waitFor(() => expect(fake.asked).toContainEqual({ type: "model_anyway", model: "smollm2-135m-instruct" }));
});

test("a file that was set aside says so and can be tried again", async () => {
  const { studio } = await row("old-file");
  expect(screen.getByText(/crashed or hung twice/)).toBeTruthy();
  await fireEvent.click(screen.getByRole("button", { name: /^Try again/ }));
  await waitFor(() => expect(studio.models.list.find((m) => m.id === "old-file")?.set_aside).toBe(false));
});

test("a refusal for memory offers to load the model in use anyway, and no other error does", async () => {
  const { studio, fake } = await openStudio();
  draw(Notice, studio, { error: { code: "io", message: "It failed.", hint: "" } });
  expect(screen.queryByRole("button", { name: "Load anyway" })).toBeNull();
  draw(Notice, studio, { error: { code: "memory_short", message: "Too little memory.", hint: "Close other programs." } });
  await fireEvent.click(screen.getByRole("button", { name: "Load anyway" }));
  await waitFor(() => expect(fake.asked).toContainEqual({ type: "model_anyway", model: "smollm2-135m-instruct" }));
});
