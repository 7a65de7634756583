/** Closes a panel when the pointer or the focus goes elsewhere. */
import type { Action } from "svelte/action";

export const outside: Action<HTMLElement, () => void> = (element, close) => {
  const left = (event: FocusEvent) => {
    if (event.relatedTarget instanceof Node && !element.contains(event.relatedTarget)) close();
  };
  const pressed = (event: PointerEvent) => {
    if (event.target instanceof Node && !element.contains(event.target)) close();
  };
  element.addEventListener("focusout", left);
  window.addEventListener("pointerdown", pressed);
  return {
    destroy() {
      element.removeEventListener("focusout", left);
      window.removeEventListener("pointerdown", pressed);
    },
  };
};
