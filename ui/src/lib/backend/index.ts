/** Chooses the backend once, at start. */
import type { Backend } from "./backend";
import { createHttpBackend } from "./http";
import { createTauriBackend } from "./tauri";

export type { Backend } from "./backend";

/** The bridge's token from the address, `#token=…`; taken out of the address bar and history. */
function takeToken(): string | null {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) history.replaceState(null, "", location.pathname + location.search);
  return token ?? sessionStorage.getItem("token");
}

export async function chooseBackend(): Promise<Backend | null> {
  if ("__TAURI_INTERNALS__" in window) return createTauriBackend();
  // The fake exists for design and tests; these conditions are constants, so releases leave it out.
  if (import.meta.env.DEV || import.meta.env.MODE === "design") {
    const fake = new URLSearchParams(location.search).get("fake");
    if (fake !== null || !location.hash.includes("token=")) {
      const { createFakeBackend } = await import("./fake");
      return createFakeBackend({ scenario: fake ?? "letters", tick: 40 });
    }
  }
  const token = takeToken();
  if (token) {
    sessionStorage.setItem("token", token);
    return createHttpBackend(token);
  }
  return null;
}
