/** One brief over columns: drafts streaming side by side, difference, blind votes. */
import { asUserError } from "../backend/backend";
import type { Column, DiffPart, Draft, Event, Intent, Tally, UserError } from "../generated/bindings";
import { BlindState } from "./blind.svelte";
import type { Studio } from "./studio.svelte";

export const ingredients = ["hypotheses", "excerpts", "dimensions"] as const;
export type Ingredient = (typeof ingredients)[number];

/** What each ingredient adds to the prompt, in words. */
export const ingredientWords: Record<Ingredient, string> = {
  hypotheses: "your habits",
  excerpts: "excerpts of yours",
  dimensions: "dimensions and summary",
};

/** A method in words: `your habits + excerpts of yours`. */
export function methodWords(method: string): string {
  const parts = method.split("+").filter((part): part is Ingredient => part in ingredientWords);
  if (parts.length === 0) return "Nothing personal";
  const words = parts.map((part) => ingredientWords[part]).join(" + ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/**
 * A side of a result in words. Rust names it by method and adapter id (`excerpts + trained voice a-… at 0.8`),
 * or by the voice's name before the first vote.
 */
export function sideWords(side: string, adapters: { id: string; name: string }[]): string {
  const named = side.match(/^(?:(.*) \+ )?trained voice (.+?)(?: at ([\d.]+))?$/);
  if (!named) return methodWords(side);
  const [, method, id, scale] = named;
  const known = adapters.find((adapter) => adapter.id === id)?.name;
  const name = known ? `“${known}”` : id?.startsWith("a-") ? "that was deleted" : id;
  const voice = `trained voice ${name}${scale ? ` at ${Number(scale).toFixed(1)}` : ""}`;
  return method && method !== "base" ? `${methodWords(method)}, with your ${voice}` : `Your ${voice}`;
}

/** Tokens that about this many words take: a token is about ¾ of a word, and a draft may run a little over. */
export function tokensFor(words: number): number {
  return Math.ceil((words / 0.75) * 1.2);
}

/** A whole number from a field: within its range, or `otherwise` while the field is empty. */
function whole(value: number | null, low: number, high: number, otherwise: number): number {
  return value === null || !Number.isFinite(value) ? otherwise : Math.min(high, Math.max(low, Math.round(value)));
}

let nextKey = 1;

export class ColumnState {
  readonly key = nextKey++;
  parts = $state<Ingredient[]>([]);
  adapter = $state<string | null>(null);
  scale = $state(1);
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

  toggle(part: Ingredient): void {
    this.parts = this.parts.includes(part) ? this.parts.filter((p) => p !== part) : [...this.parts, part];
  }
}

const firstColumns: Record<Intent, Ingredient[][]> = {
  "as-me": [[], ["hypotheses"], ["excerpts"]],
  "for-me": [[], ["dimensions"]],
};

export const mostColumns = 5;

export class CompareState {
  intent = $state<Intent>("as-me");
  brief = $state("");
  words = $state<number | null>(120);
  seed = $state<number | null>(1);
  #columns = $state<Record<Intent, ColumnState[]>>({
    "as-me": firstColumns["as-me"].map((parts) => new ColumnState(parts)),
    "for-me": firstColumns["for-me"].map((parts) => new ColumnState(parts)),
  });
  columns = $derived(this.#columns[this.intent]);
  writing = $state(false);
  error = $state.raw<UserError | null>(null);
  kept = $state.raw<Draft[]>([]);
  tallies = $state.raw<Tally[]>([]);

  readonly blind: BlindState;
  blindOn = $state(false);
  /** Keys of the two columns that a blind round compares. */
  blindKeys = $state<[number, number] | null>(null);

  #job: number | null = null;

  constructor(private readonly studio: Studio) {
    this.blind = new BlindState(studio);
  }

  clear(): void {
    for (const intent of ["as-me", "for-me"] as const) {
      this.#columns[intent] = firstColumns[intent].map((parts) => new ColumnState(parts));
    }
    this.kept = [];
    this.tallies = [];
    this.blindOn = false;
    this.blind.clear();
    this.blind.tally = null;
    this.error = null;
  }

  async load(): Promise<void> {
    const profile = this.studio.profileId;
    if (!profile) return;
    try {
      const [{ drafts }, { tallies }] = await Promise.all([
        this.studio.ask({ type: "draft_list", profile }, "drafts"),
        this.studio.ask({ type: "vote_tally", profile }, "tallies"),
      ]);
      this.kept = drafts.filter((draft) => draft.kept);
      this.tallies = tallies;
    } catch (error) {
      this.error = asUserError(error);
    }
  }

  addColumn(): void {
    if (this.columns.length >= mostColumns) return;
    const voice = this.studio.align.adapters[0]?.id ?? null;
    const used = this.columns.some((column) => column.adapter !== null);
    const parts: Ingredient[] = this.intent === "for-me" ? ["dimensions"] : voice && !used ? [] : ["hypotheses", "excerpts"];
    this.#columns[this.intent].push(new ColumnState(parts, used ? null : voice));
  }

  removeColumn(key: number): void {
    if (this.columns.length <= 1) return;
    this.#columns[this.intent] = this.columns.filter((column) => column.key !== key);
  }

  column(key: number | null): ColumnState | null {
    return this.columns.find((column) => column.key === key) ?? null;
  }

  /** About how many words, whatever the field holds just now. */
  get length(): number {
    return whole(this.words, 10, 2000, 120);
  }

  /** The brief as it is sent: what is asked, and about how long. */
  get request(): string {
    return `${this.brief.trim()}\n\nAbout ${this.length} words.`;
  }

  asColumn(column: ColumnState): Column {
    return {
      method: column.method,
      adapter: column.adapter === null ? null : { id: column.adapter, scale: column.scale },
      sampling: {
        temperature: 0.8,
        top_p: 1,
        top_k: 0,
        min_p: 0.05,
        repetition_penalty: 1.2,
        seed: column.ownSeed ?? whole(this.seed, 0, Number.MAX_SAFE_INTEGER, 1),
        max_tokens: tokensFor(this.length),
        stop: [],
      },
    };
  }

  /** Writes every column, or, in blind mode, the two under comparison with a seed not seen before. */
  async write(): Promise<void> {
    if (this.blindOn) {
      await this.#writeBlind();
      return;
    }
    for (const column of this.columns) column.ownSeed = null;
    await this.#write(this.columns);
  }

  async again(column: ColumnState): Promise<void> {
    column.ownSeed = (column.ownSeed ?? this.seed ?? 1) + 1;
    await this.#write([column]);
  }

  async #write(columns: ColumnState[]): Promise<boolean> {
    if (this.writing || !this.brief.trim()) return false;
    this.writing = true;
    this.error = null;
    for (const column of columns) {
      column.text = "";
      column.draft = null;
      column.diff = null;
      column.against = null;
      column.writing = true;
    }
    try {
      const profile = await this.studio.needProfile();
      const { drafts } = await this.studio.ask(
        {
          type: "write",
          profile: profile.id,
          intent: this.intent,
          brief: this.request,
          columns: columns.map((column) => this.asColumn(column)),
          model: null,
        },
        "drafts",
        (event) => this.#hear(columns, event),
      );
      drafts.forEach((draft, i) => {
        const column = columns[i];
        if (!column) return;
        column.draft = draft;
        column.text = draft.text;
      });
      return drafts.length === columns.length && drafts.every((draft) => draft.ended !== "cancelled");
    } catch (error) {
      const wrong = asUserError(error);
      if (wrong.code !== "cancelled") this.error = wrong;
      return false;
    } finally {
      for (const column of columns) column.writing = false;
      this.writing = false;
      this.#job = null;
    }
  }

  #hear(columns: ColumnState[], event: Event): void {
    if (event.type === "started") this.#job = event.job;
    if (event.type === "column_text") {
      const column = columns[event.column];
      if (column) column.text += event.text;
    }
  }

  async stop(): Promise<void> {
    if (this.#job !== null) await this.studio.stopJob(this.#job);
  }

  /** Turns blind mode on or off; the drafts on screen have been seen with their names, so they go. */
  setBlind(mode: "on" | "off"): void {
    this.blindOn = mode === "on";
    this.blind.clear();
    if (!this.blindOn) return;
    for (const column of this.columns) {
      column.text = "";
      column.draft = null;
      column.diff = null;
    }
    const [first, ...rest] = this.columns;
    const last = rest[rest.length - 1];
    this.blindKeys = first && last ? [first.key, last.key] : null;
  }

  async #writeBlind(): Promise<void> {
    const pair = this.blindKeys?.map((key) => this.column(key)) ?? [];
    const [left, right] = pair;
    if (!left || !right || left === right) return;
    this.blind.clear();
    // Each round its own seed, so that no two rounds show the same two texts.
    this.seed = (this.seed ?? 1) + 1;
    left.ownSeed = null;
    right.ownSeed = null;
    if (!(await this.#write([left, right])) || !left.draft || !right.draft) return;
    try {
      const answer = await this.studio.ask(
        { type: "blind_pair", left: left.draft.id, right: right.draft.id },
        "pair",
      );
      this.blind.show(answer.pair);
    } catch (error) {
      this.error = asUserError(error);
    }
  }

  async setDiff(column: ColumnState, against: number | null): Promise<void> {
    column.against = against;
    column.diff = null;
    const other = this.column(against);
    if (!other?.draft || !column.draft) return;
    try {
      const { parts } = await this.studio.ask(
        { type: "draft_diff", left: other.draft.id, right: column.draft.id },
        "diff",
      );
      if (column.against === against) column.diff = parts;
    } catch (error) {
      this.error = asUserError(error);
    }
  }

  async keep(draft: Draft, keep: boolean): Promise<void> {
    try {
      const answer = await this.studio.ask({ type: "draft_keep", draft: draft.id, keep }, "draft");
      for (const column of this.columns) if (column.draft?.id === draft.id) column.draft = answer.draft;
      this.kept = keep
        ? [answer.draft, ...this.kept.filter((d) => d.id !== draft.id)]
        : this.kept.filter((d) => d.id !== draft.id);
      this.studio.say(keep ? "Kept." : "No longer kept.");
    } catch (error) {
      this.error = asUserError(error);
    }
  }

  async deleteDraft(draft: Draft): Promise<void> {
    try {
      await this.studio.ask({ type: "draft_delete", draft: draft.id }, "gone");
      this.kept = this.kept.filter((d) => d.id !== draft.id);
    } catch (error) {
      this.error = asUserError(error);
    }
  }

  /** The exact prompt a column would send now; that of its draft once it has one. */
  async prompt(column: ColumnState): Promise<string | null> {
    if (column.draft) return column.draft.prompt;
    try {
      const profile = await this.studio.needProfile();
      const { prompts } = await this.studio.ask(
        {
          type: "prompt_preview",
          profile: profile.id,
          intent: this.intent,
          brief: this.request,
          columns: [this.asColumn(column)],
          model: null,
        },
        "prompts",
      );
      return prompts[0] ?? null;
    } catch (error) {
      this.error = asUserError(error);
      return null;
    }
  }
}
