/** Focus around dialogs. */

/** What has the focus now, to be given it back later. */
export function focused(): HTMLElement | null {
  return document.activeElement instanceof HTMLElement ? document.activeElement : null;
}

/**
 * Gives the focus back. Blurred first: when a dialog closes, Chromium returns the focus without a caret, and a
 * field that already has the focus takes no notice of `focus()`.
 */
export function giveBack(element: HTMLElement | null): void {
  if (!element?.isConnected || element === document.body) return;
  element.blur();
  element.focus({ preventScroll: true });
}
