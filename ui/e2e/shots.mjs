// Draws every view with the fake backend, for eyes: node e2e/shots.mjs OUT_FOLDER [fake scenario]
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { openBrowser, serveDesign } from "./serve.mjs";

const out = process.argv[2] ?? "shots";
const scenario = process.argv[3] ?? "letters";
await mkdir(out, { recursive: true });
const site = await serveDesign();
const browser = await openBrowser();
const sizes = [
  [1280, 800],
  [900, 600],
];
for (const colorScheme of ["light", "dark"]) {
  for (const [width, height] of sizes) {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme });
    await page.goto(`${site.url}?fake=${scenario}`);
    await page.waitForSelector("h1");
    const shot = (name) => page.screenshot({ path: join(out, `${name}-${width}-${colorScheme}.png`) });
    for (const [i, view] of ["samples", "profile", "compare", "align", "models", "settings"].entries()) {
      await page.keyboard.press(`Control+${i + 1}`);
      await page.waitForTimeout(400);
      await shot(view);
      if (view === "compare" && scenario === "letters") {
        await page.fill("#brief", "Tell the others I cannot come on Saturday");
        await page.getByRole("button", { name: /^Write \d/ }).click();
        await page.waitForTimeout(1500);
        await shot("compare-writing");
        await page.getByRole("button", { name: "Write again" }).first().waitFor({ timeout: 30000 });
        await shot("compare-written");
      }
    }
    await page.close();
  }
}
await browser.close();
await site.close();
