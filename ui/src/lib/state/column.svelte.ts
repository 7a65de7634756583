/** One column of Compare: what it is made with, in words too, and its draft. */
import type { AdapterUse, DiffPart, Draft } from "../generated/bindings";

export const ingredients = ["hypotheses", "excerpts", "dimensions"] as const;
export type Ingredient = (typeof ingredients)[number];

/** What each ingredient adds to the prompt, in words. */
export const ingredientWords: Record<Ingredient, string> = {
  hypotheses: "your habits",
  excerpts: "excerpts of yours",
  dimensions: "dimensions and summary",
};

/** The ingredients of a method. */
export function partsOf(method: string): Ingredient[] {
  return method.split("+").filter((part): part is Ingredient => part in ingredientWords);
}

/** A method in words: `your habits + excerpts of yours`. */
export function methodWords(method: string): string {
  const parts = partsOf(method);
  if (parts.length === 0) return "Nothing personal";
  const words = parts.map((part) => ingredientWords[part]).join(" + ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/**
 * A side of a result in words. Rust names it by method and adapter id (`excerpts + trained voice a-… at 0.8`),
 * or by the voice's name before the first vote.
 */
export function sideWords(side: string, adapters: { id: string; name: string }[]): string {
  const named = side.match(/^(?:(.*) \+ )?trained voice (.+?)(?: at ([\d.]+))?(?: with contrast ([\d.]+))?$/);
  if (!named) return methodWords(side);
  const [, method, id, scale, contrast] = named;
  const known = adapters.find((adapter) => adapter.id === id)?.name;
  const name = known ? `“${known}”` : id?.startsWith("a-") ? "that was deleted" : id;
  const stressed = contrast ? ` with contrast ${Number(contrast).toFixed(1)}` : "";
  const voice = `trained voice ${name}${scale ? ` at ${Number(scale).toFixed(1)}` : ""}${stressed}`;
  return method && method !== "base" ? `${methodWords(method)}, with your ${voice}` : `Your ${voice}`;
}

/** The strength of a trained voice in words. */
export function strengthWords(scale: number): string {
  return scale === 0 ? "switched off" : scale === 1 ? "as trained" : `at ${scale.toFixed(1)} of its strength`;
}

/** What a column is made with, in words: a title, a line below it, and both as one phrase. */
export function madeWith(
  made: { method: string; adapter: AdapterUse | null },
  adapters: { id: string; name: string }[],
): { title: string; line: string; phrase: string } {
  const title = methodWords(made.method);
  const { adapter } = made;
  if (!adapter) {
    return { title, line: made.method === "base" ? "The model as it is: the yardstick" : "No trained voice", phrase: title };
  }
  const name = adapters.find((known) => known.id === adapter.id)?.name;
  const voice = `${name ? `“${name}”` : "that was deleted"}, ${strengthWords(adapter.scale)}${adapter.contrast > 0 ? `, contrast ${adapter.contrast.toFixed(1)}` : ""}`;
  if (made.method === "base") {
    return { title: "Your trained voice", line: `${voice.charAt(0).toUpperCase()}${voice.slice(1)}`, phrase: `Your trained voice ${voice}` };
  }
  return { title, line: `With your trained voice ${voice}`, phrase: `${title}, with your trained voice ${voice}` };
}

/** Tokens that about this many words take: a token is about ¾ of a word, and a draft may run a little over. */
export function tokensFor(words: number): number {
  return Math.ceil((words / 0.75) * 1.2);
}

let nextKey = 1;

export class ColumnState {
  readonly key = nextKey++;
  parts = $state<Ingredient[]>([]);
  adapter = $state<string | null>(null);
  scale = $state(1);
  /** How far words are moved on from what the plain model would write. */
  contrast = $state(0);
  /** Set by “write again”: a seed of its own. */
  ownSeed = $state<number | null>(null);
  text = $state("");
  draft = $state.raw<Draft | null>(null);
  writing = $state(false);
  /** Key of the column it is compared with, word by word. */
  against = $state<number | null>(null);
  diff = $state.raw<DiffPart[] | null>(null);
  method = $derived(this.parts.length === 0 ? "base" : ingredients.filter((i) => this.parts.includes(i)).join("+"));

  constructor(parts: Ingredient[] = [], adapter: string | null = null) {
    this.parts = parts;
    this.adapter = adapter;
  }

  /** Turns a trained voice on, with what its prompts were trained under; null turns it off. */
  speakAs(voice: { id: string; method: string } | null): void {
    this.adapter = voice?.id ?? null;
    const parts = partsOf(voice?.method ?? "base");
    if (parts.length > 0) this.parts = parts;
  }

  /** What the next draft will be made with. */
  get next(): { method: string; adapter: AdapterUse | null } {
    return { method: this.method, adapter: this.adapter === null ? null : { id: this.adapter, scale: this.scale, contrast: this.contrast } };
  }

  /** Whether its draft was made with something else than the next one will be. */
  get changed(): boolean {
    if (!this.draft) return false;
    const [was, next] = [this.draft, this.next];
    return was.method !== next.method || was.adapter?.id !== next.adapter?.id || was.adapter?.scale !== next.adapter?.scale || was.adapter?.contrast !== next.adapter?.contrast;
  }

  /** Takes its draft off screen. */
  forget(): void {
    this.text = "";
    this.draft = null;
    this.diff = null;
    this.against = null;
  }

  toggle(part: Ingredient): void {
    this.parts = this.parts.includes(part) ? this.parts.filter((p) => p !== part) : [...this.parts, part];
  }
}
