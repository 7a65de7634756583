/** What the person typed and has not saved yet, by field. It outlives the view, and the profile, it was typed in. */
export class Unsaved {
  #texts = $state<Record<string, string>>({});

  /** The text of a field; null while nothing unsaved is in it. */
  get(field: string): string | null {
    return this.#texts[field] ?? null;
  }

  set(field: string, text: string): void {
    this.#texts[field] = text;
  }

  /** Saved or discarded. */
  drop(field: string): void {
    delete this.#texts[field];
  }

  /** What was typed on top of what is stored: the same as stored is nothing unsaved. */
  over(field: string, stored: string, text: string): void {
    if (text === stored) this.drop(field);
    else this.set(field, text);
  }
}
