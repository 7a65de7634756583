// What the browser tests and the screenshots share: the window built with its fake, served on loopback
// under the same content security policy as the app, and Debian's Chromium.
import { tmpdir } from "node:os";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { build, preview } from "vite";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** The app's own policy; a page here asks its server, where the app's asks the app. */
const config = JSON.parse(await readFile(join(root, "../tauri.conf.json"), "utf8"));
export const policy = Object.entries({ ...config.app.security.csp, "connect-src": "'self'" })
  .map(([directive, sources]) => `${directive} ${sources}`)
  .join("; ");

/** Builds with the fake and serves it. Returns its address and how to stop. */
export async function serveDesign() {
  const outDir = await mkdtemp(join(tmpdir(), "idiolect-ui-"));
  await build({ root, mode: "design", logLevel: "error", build: { outDir } });
  const server = await preview({
    root,
    logLevel: "error",
    build: { outDir },
    preview: { host: "127.0.0.1", port: 0, headers: { "content-security-policy": policy } },
  });
  return {
    url: `http://127.0.0.1:${server.httpServer.address().port}/`,
    async close() {
      await server.close();
      await rm(outDir, { recursive: true, force: true });
    },
  };
}

export function openBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
