import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// Nothing is inlined (fonts and images are files of their own) and no inline script or style is emitted,
// so that the window's content security policy can be 'self' throughout.
export default defineConfig(({ mode }) => ({
  plugins: [svelte()],
  // Relative, so that the same build works under the app's own scheme and behind the browser bridge.
  base: "./",
  build: {
    outDir: mode === "design" ? "dist-design" : "dist",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
  server: { host: "127.0.0.1", fs: { allow: [".."] } },
  preview: { host: "127.0.0.1" },
  resolve: process.env.VITEST ? { conditions: ["browser"] } : {},
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.ts"],
    setupFiles: ["./src/test/setup.ts"],
  },
}));
