import { expect, test } from "vitest";
import { openStudio } from "../../test/studio";

test("the first paste needs no profile to be named first", async () => {
  const { studio } = await openStudio("empty");
  studio.samples.pasted = "So I went out and counted the leaks.";
  await studio.samples.add();
  expect(studio.profile?.name).toBe("My writing");
  expect(studio.samples.list).toHaveLength(1);
  expect(studio.samples.pasted, "the area is free for the next text").toBe("");
});

test("a refused text stays in the area with the reason", async () => {
  const { studio, fake } = await openStudio();
  studio.samples.pasted = "Something precious.";
  fake.failNext("sample_add", { code: "disk_full", message: "The disk is full.", hint: "Free some space." });
  await studio.samples.add();
  expect(studio.samples.pasted, "nothing typed is lost").toBe("Something precious.");
  expect(studio.samples.addError?.code).toBe("disk_full");
});

test("a mailbox waits for the person's choice, hands over only that, and shows counts", async () => {
  const { studio, fake } = await openStudio();
  await studio.samples.importFiles(["t-mailbox"]);
  const item = () => studio.samples.imports[0];
  expect(item()?.step).toBe("choosing");
  expect(fake.asked.some((r) => r.type === "import_run"), "nothing is read before the choice").toBe(false);
  const waiting = item();
  if (!waiting) throw new Error("the import is listed");
  studio.samples.choose(waiting, "maren@example.org", true);
  studio.samples.choose(waiting, "tom@example.org", true);
  studio.samples.choose(waiting, "tom@example.org", false);
  await studio.samples.runImport(waiting);
  expect(fake.asked.find((r) => r.type === "import_run")).toMatchObject({ mine: ["maren@example.org"] });
  expect(item()?.step).toBe("done");
  expect(item()?.counts?.other_people).toBe(14);
});

test("a document asks nobody whose words they are", async () => {
  const { studio, fake } = await openStudio();
  await studio.samples.importFiles(["t-document"]);
  expect(studio.samples.imports[0]?.step).toBe("done");
  expect(fake.asked.find((r) => r.type === "import_run")).toMatchObject({ mine: [] });
});

test("a file that is not text fails on its row, and the next one still comes in", async () => {
  const { studio } = await openStudio();
  await studio.samples.importFiles(["t-binary", "t-document"]);
  expect(studio.samples.imports.map((i) => i.step)).toEqual(["failed", "done"]);
  expect(studio.samples.imports[0]?.error?.hint).toContain(".docx");
});

test("dropped files go to Samples from any view, and to Models from Models", async () => {
  const { studio, fake } = await openStudio();
  studio.go("compare");
  fake.drop(["t-mailbox"]);
  expect(studio.view).toBe("samples");
  studio.go("models");
  fake.drop(["t-model"]);
  expect(studio.view).toBe("models");
  expect(fake.asked.some((r) => r.type === "model_import")).toBe(true);
});

test("putting back and removing say what changed", async () => {
  const { studio } = await openStudio();
  const page = studio.samples.list.find((s) => s.removed.some((r) => r.text !== ""));
  if (!page) throw new Error("the fake has a document with something cut");
  await studio.samples.restore(page.id);
  const whole = studio.samples.list.find((s) => s.id === page.id);
  expect(whole?.removed).toEqual([]);
  expect(whole?.text.length).toBeGreaterThan(page.text.length);
  await studio.samples.remove(page.id);
  expect(studio.samples.list.some((s) => s.id === page.id)).toBe(false);
  expect(studio.samples.removed?.derived.length).toBeGreaterThan(0);
  expect(studio.samples.removed?.copies, "the safety copies still hold it").toBe(2);
  await studio.samples.forgetCopies();
  expect(studio.samples.removed?.copies).toBe(0);
});
