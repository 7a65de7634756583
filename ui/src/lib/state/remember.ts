/** Which profile was looked at last, for the next start. */
const rememberKey = "idiolect.profile";

export function remembered(): string | null {
  try {
    return localStorage.getItem(rememberKey);
  } catch {
    return null;
  }
}

export function remember(id: string): void {
  try {
    localStorage.setItem(rememberKey, id);
  } catch {
    // A window without storage opens the first profile next time.
  }
}
