import { expect, test } from "vitest";
import { openStudio } from "../../test/studio";

test("an untouched summary takes the new one", async () => {
  const { studio } = await openStudio();
  const { summary } = studio.portrait;
  const before = summary.text;
  await summary.regenerate();
  expect(summary.text).not.toBe(before);
  expect(summary.proposal).toBeNull();
});

test("a saved edit is never overwritten: the new one waits beside it", async () => {
  const { studio } = await openStudio();
  const { summary } = studio.portrait;
  summary.text = "I write short.";
  await summary.save();
  expect(summary.edited).toBe(true);
  await summary.regenerate();
  expect(summary.text, "the person's words stand").toBe("I write short.");
  expect(summary.proposal).toContain("Talks on paper");
  await summary.acceptProposal();
  expect(summary.text, "only their say replaces it").toContain("Talks on paper");
});

test("an unsaved edit survives regenerating and reloading", async () => {
  const { studio } = await openStudio();
  const { summary } = studio.portrait;
  summary.text = "Not saved yet.";
  await summary.regenerate();
  expect(summary.text).toBe("Not saved yet.");
  expect(summary.proposal).toContain("Talks on paper");
  await studio.reload();
  expect(summary.text).toBe("Not saved yet.");
  summary.keepMine();
  expect(summary.proposal).toBeNull();
});
