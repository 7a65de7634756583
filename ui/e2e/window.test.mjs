// The window in Chromium: every view in both themes under axe, the content security policy, the journey by
// keyboard alone. Runs against the fake backend, or against `idiolect serve --ui-bridge` where
// IDIOLECT_BRIDGE_URL names it (address with its #token=…); steps that need invented data are then left out.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { openBrowser, serveDesign } from "./serve.mjs";

const bridge = process.env.IDIOLECT_BRIDGE_URL;
const onlyFake = { skip: bridge ? "needs the fake's invented data" : false };
const axeSource = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let site;
let browser;
before(async () => {
  site = bridge ? { url: bridge, close: async () => {} } : await serveDesign();
  browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  await site?.close();
});

/** Opens the window; `problems` collects whatever the page complains of. */
async function open({ scenario = "letters", colorScheme = "light", width = 1280, height = 800 } = {}) {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme });
  const problems = [];
  page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
  page.on("console", (message) => message.type() === "error" && problems.push(`console: ${message.text()}`));
  page.on("request", (request) => {
    if (new URL(request.url()).hostname !== "127.0.0.1" && !request.url().startsWith("data:") && !request.url().startsWith("blob:")) problems.push(`asked for ${request.url()}`);
  });
  await page.addInitScript(() => {
    // As the app does (freezePrototype in tauri.conf.json).
    Object.freeze(Object.prototype);
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (e) => window.violations.push(`${e.violatedDirective}: ${e.sample || e.blockedURI}`));
  });
  await page.goto(bridge ?? `${site.url}?fake=${scenario}`);
  await page.waitForSelector("h1");
  return { page, problems };
}

async function axe(page, where) {
  // Through the debugger, not a script element: the page's policy forbids those, as it should.
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const words = violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(" ") + " " + (n.any[0]?.message ?? "")).slice(0, 4).join(" | ")}`);
  assert.deepEqual(words, [], `axe finds nothing in ${where}`);
}

/** Nothing sticks out at the side; only what is made to scroll by itself may be wider. */
async function fits(page, where) {
  const wide = await page.evaluate(() => [document.documentElement, document.querySelector("main")].map((e) => e.scrollWidth - e.clientWidth));
  assert.deepEqual(wide, [0, 0], `${where} is no wider than the window`);
}

const views = ["Samples", "Profile", "Compare", "Align", "Models", "Settings"];

for (const scenario of bridge ? ["bridge"] : ["letters", "empty"]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`every view is accessible: ${scenario}, ${colorScheme}`, async () => {
      const { page, problems } = await open({ scenario, colorScheme });
      for (const [i, view] of views.entries()) {
        await page.keyboard.press(`Control+${i + 1}`);
        await page.getByRole("heading", { level: 1, name: view }).waitFor();
        await page.waitForTimeout(300);
        await axe(page, `${view}, ${colorScheme}`);
        await fits(page, view);
      }
      assert.deepEqual(await page.evaluate(() => window.violations), [], "nothing breaks the content security policy");
      assert.deepEqual(problems, [], "the page complains of nothing and asks no other host");
      await page.close();
    });
  }
}

test("high contrast, folded parts open, dialogs and palette are accessible", onlyFake, async () => {
  const { page } = await open();
  await page.keyboard.press("Control+6");
  await page.getByRole("radio", { name: "High contrast" }).check();
  await page.getByText("What the app is built from").click();
  await page.getByText("@tauri-apps/api").waitFor();
  await axe(page, "Settings with the notices open");
  await page.keyboard.press("Control+2");
  await page.getByText("More counted habits").click();
  await page.getByText("Interests", { exact: false }).first().click();
  await page.getByText("What moved it").first().click();
  await axe(page, "Profile, high contrast, opened");
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").waitFor();
  await axe(page, "the palette");
  await page.keyboard.press("Escape");
  assert.equal(await page.getByRole("combobox").count(), 0, "Esc closes the palette");
  await page.keyboard.press("Control+1");
  await page.getByRole("button", { name: /^Remove/ }).first().click();
  await axe(page, "the removal dialog");
  await page.keyboard.press("Escape");
  assert.equal(await page.getByRole("dialog").count(), 0, "Esc closes the dialog");
  await page.close();
});

test("the journey by keyboard alone: paste, read, set, draft, vote", onlyFake, async () => {
  const { page, problems } = await open({ scenario: "empty", width: 900, height: 600 });
  const run = async (action) => {
    await page.keyboard.press("Control+k");
    await page.keyboard.type(action);
    await page.keyboard.press("Enter");
  };
  for (let i = 0; i < 4; i++) {
    await run("Paste something");
    await page.waitForFunction(() => document.activeElement?.id === "paste");
    await page.keyboard.type(`Text number ${i}. ` + "So I went out and counted the leaks, and there were more than I liked. ".repeat(3));
    await page.keyboard.press("Control+Enter");
    await page.waitForFunction((n) => document.querySelectorAll("ul[aria-label=Samples] > li").length === n, i + 1);
  }
  await run("Read my samples");
  await page.getByText("Read my samples again").waitFor({ timeout: 20000 });

  await run("Search the dimensions");
  await page.waitForFunction(() => document.activeElement?.type === "search");
  await page.keyboard.type("play");
  const slider = page.getByRole("slider", { name: "Need for Play" });
  await slider.focus();
  await page.keyboard.press("End");
  await page.getByText("You set this; inferred was").waitFor();
  assert.equal(await slider.inputValue(), "1", "End goes to the high pole");
  await page.keyboard.press("ArrowLeft");
  await page.waitForFunction(() => document.querySelector('input[type="range"]').value === "0.95");
  await page.keyboard.press("Delete");
  await page.getByText("You set this").waitFor({ state: "detached" });

  await run("Write a draft");
  await page.waitForFunction(() => document.activeElement?.id === "brief");
  await page.keyboard.type("Tell the others I cannot come");
  await page.keyboard.press("Control+Enter");
  await page.getByText("Style match").first().waitFor({ timeout: 30000 });
  assert.ok((await page.locator("article .draft").first().innerText()).length > 40, "a draft is there");

  await run("Compare blind");
  await run("Write all columns");
  await page.getByRole("group", { name: "Your vote" }).waitFor({ timeout: 30000 });
  assert.equal(await page.getByText("Your habits").count(), 0, "nothing says which draft is which before the vote");
  await page.locator("h1").first().click();
  await page.keyboard.press("1");
  await page.getByText("your pick").waitFor();
  assert.deepEqual(problems, [], "the page complains of nothing");
  await page.close();
});

test("the smallest window holds every view, with drafts and questions", onlyFake, async () => {
  for (const scenario of ["letters", "empty", "nomodel", "short"]) {
    const { page } = await open({ scenario, width: 900, height: 600 });
    for (const [i, view] of views.entries()) {
      await page.keyboard.press(`Control+${i + 1}`);
      await page.getByRole("heading", { level: 1, name: view }).waitFor();
      await fits(page, `${view}, ${scenario}`);
    }
    await page.close();
  }
  const { page } = await open({ width: 900, height: 600 });
  await page.keyboard.press("Control+3");
  await page.fill("#brief", "Tell the others I cannot come");
  await page.keyboard.press("Control+Enter");
  await page.getByText("Style match").first().waitFor({ timeout: 30000 });
  await page.getByRole("button", { name: /^Change/ }).last().click();
  await page.getByRole("button", { name: "Edit" }).first().click();
  await fits(page, "Compare with drafts");
  await axe(page, "a draft being edited");
  await page.keyboard.press("Control+5");
  await page.getByRole("button", { name: /^Remove.*SmolLM2 135M/ }).click();
  await axe(page, "the question before a model is removed");
  await page.getByRole("button", { name: "Keep it" }).click();
  await page.getByRole("button", { name: /Fetch.*Llama/ }).click();
  await axe(page, "the question about a licence");
  await page.keyboard.press("Escape");
  await page.getByText("Not supported yet (1)").click();
  assert.equal(await page.getByRole("button", { name: /Fetch.*SmolLM3/ }).count(), 0, "what cannot run is not offered");
  await page.close();
});

test("training shows its curve, can be stopped with the best kept, and is tested blind", onlyFake, async () => {
  const { page } = await open();
  await page.keyboard.press("Control+4");
  await page.getByRole("button", { name: "Train", exact: true }).click();
  await page.getByRole("img", { name: /Held-out loss|Loss of/ }).waitFor();
  await axe(page, "Align while it trains");
  await page.getByRole("button", { name: "Pause" }).first().click();
  await page.getByRole("heading", { name: "Paused" }).waitFor();
  await page.getByRole("button", { name: "Resume" }).first().click();
  await page.getByRole("button", { name: "Stop and keep the best" }).click();
  await page.getByText("the best so far was kept").waitFor();
  await page.getByRole("button", { name: "Test it blind" }).click();
  for (let i = 0; i < 8; i++) {
    await page.getByRole("group", { name: "Your vote" }).waitFor({ timeout: 20000 });
    await page.keyboard.press("2");
    await page.getByRole("button", { name: /Next pair|See the result/ }).click();
  }
  await page.getByText("Every pair has your vote.").waitFor();
  await page.close();
});

test("what was pasted is counted, and is there after the page was loaded again", { skip: bridge ? false : "needs the bridge" }, async () => {
  const { page, problems } = await open();
  const letter =
    "So the gate is off again, and no, I did not slam it. The wind did, or the cat, or the general mood of the week. " +
    "I put it back with string. I am told that string is not a hinge. Could you bring the long screws on Sunday? I have " +
    "tea, I have a ladder, and I have a theory about the post. ";
  const before = await page.locator("ul[aria-label=Samples] > li").count();
  await page.fill("#paste", `${letter}${letter.replaceAll("gate", "door")}It is ${new Date().toISOString()} and still loose.`);
  await page.getByRole("button", { name: "Add this text" }).click();
  await page.waitForFunction((n) => document.querySelectorAll("ul[aria-label=Samples] > li").length === n, before + 1);
  await page.keyboard.press("Control+2");
  await page.getByText(/Counted over \d/).waitFor();
  await page.reload();
  await page.waitForFunction((n) => document.querySelectorAll("ul[aria-label=Samples] > li").length === n, before + 1);
  assert.deepEqual(problems, [], "the page complains of nothing and asks no other host");
  await page.close();
});

test("files that are no text are refused on their row; the next one comes in", { skip: bridge ? false : "needs the bridge" }, async () => {
  const { page, problems } = await open();
  const before = await page.locator("ul[aria-label=Samples] > li").count();
  const chooser = page.waitForEvent("filechooser");
  await page.getByRole("button", { name: "Import files" }).click();
  const words = `The lid of the compost was gone again on ${new Date().toISOString()}, and I suspect the fox, who has form. `;
  await (await chooser).setFiles([
    { name: "noise.bin", mimeType: "application/octet-stream", buffer: Buffer.from(Array.from({ length: 512 }, (_, i) => (i * 37) % 256)) },
    { name: "empty.txt", mimeType: "text/plain", buffer: Buffer.alloc(0) },
    { name: "fox.txt", mimeType: "text/plain", buffer: Buffer.from(words.repeat(2)) },
  ]);
  await page.getByText("1 text kept").waitFor();
  assert.equal(await page.getByRole("alert").count(), 2, "each refusal is said where it belongs");
  await page.waitForFunction((n) => document.querySelectorAll("ul[aria-label=Samples] > li").length === n, before + 1);
  assert.deepEqual(problems, [], "the page complains of nothing");
  await page.close();
});

test("of a thousand samples only those on screen are drawn", onlyFake, async () => {
  const { page } = await open({ scenario: "thousand" });
  await page.waitForFunction(() => document.querySelectorAll("ul[aria-label=Samples] > li").length === 1000);
  const drawn = () =>
    page.evaluate(() => {
      const rows = [...document.querySelectorAll("ul[aria-label=Samples] > li details")];
      return rows.filter((row) => row.checkVisibility({ contentVisibilityAuto: true })).length;
    });
  assert.ok((await drawn()) < 100, "at the top, rows far below are left out");
  await page.evaluate(() => document.querySelector("ul[aria-label=Samples] > li:last-child").scrollIntoView());
  await page.waitForTimeout(300);
  const after = await drawn();
  assert.ok(after > 0 && after < 200, `at the bottom, rows far above are left out (${after} drawn)`);
  await page.close();
});
