/** One brief over columns: drafts streaming side by side, difference, blind votes. */
import { asUserError } from "../backend/backend";
import type { Adapter, Column, Draft, Event, Intent, Request, Tally, Thumb, UserError } from "../generated/bindings";
import { BlindState } from "./blind.svelte";
import { ColumnState, tokensFor, type Ingredient, partsOf } from "./column.svelte";
import type { Studio } from "./studio.svelte";

/** A whole number from a field: within its range, or `otherwise` while the field is empty. */
function whole(value: number | null, low: number, high: number, otherwise: number): number {
  return value === null || !Number.isFinite(value) ? otherwise : Math.min(high, Math.max(low, Math.round(value)));
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
  /** Counts profiles shown: what was begun in an earlier one no longer belongs on screen. */
  #turn = 0;
  /** Whether the trained voice has been given its column. */
  #voiceOffered = false;

  constructor(private readonly studio: Studio) {
    this.blind = new BlindState(studio);
  }

  clear(): void {
    for (const intent of ["as-me", "for-me"] as const) {
      this.#columns[intent] = firstColumns[intent].map((parts) => new ColumnState(parts));
    }
    this.#turn += 1;
    this.#voiceOffered = false;
    this.#job = null;
    this.writing = false;
    this.blindKeys = null;
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
      if (profile !== this.studio.profileId) return;
      this.kept = drafts.filter((draft) => draft.kept);
      this.tallies = tallies;
    } catch (error) {
      if (profile === this.studio.profileId) this.error = asUserError(error);
    }
  }

  /** After a vote: the results of every comparison. */
  async loadTallies(): Promise<void> {
    const profile = this.studio.profileId;
    if (!profile) return;
    try {
      const { tallies } = await this.studio.ask({ type: "vote_tally", profile }, "tallies");
      if (profile === this.studio.profileId) this.tallies = tallies;
    } catch (error) {
      if (profile === this.studio.profileId) this.error = asUserError(error);
    }
  }

  /** The newest trained voice that works with the model in use. */
  get #voice(): Adapter | null {
    return this.studio.align.adapters.find((adapter) => adapter.model === this.studio.status?.model_id && adapter.retired_at === null) ?? null;
  }

  /** Once there is a trained voice, “as me” shows it beside the others; whoever takes that column away is not asked again. */
  offerVoice(): void {
    const voice = this.#voice;
    const columns = this.#columns["as-me"];
    if (!voice || this.#voiceOffered) return;
    this.#voiceOffered = true;
    if (columns.length < mostColumns && columns.every((column) => column.adapter === null)) columns.push(new ColumnState(partsOf(voice.method), voice.id));
  }

  addColumn(): void {
    if (this.columns.length >= mostColumns) return;
    const voice = this.#voice;
    const used = this.columns.some((column) => column.adapter !== null);
    const parts: Ingredient[] = this.intent === "for-me" ? ["dimensions"] : voice && !used ? partsOf(voice.method) : ["hypotheses", "excerpts"];
    this.#columns[this.intent].push(new ColumnState(parts, used ? null : (voice?.id ?? null)));
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

  asColumn(column: ColumnState): Column {
    return {
      ...column.next,
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
    const turn = this.#turn;
    this.writing = true;
    this.error = null;
    for (const column of columns) {
      column.forget();
      column.writing = true;
    }
    try {
      const profile = await this.studio.needProfile();
      const { drafts } = await this.studio.ask(
        {
          type: "write",
          profile: profile.id,
          intent: this.intent,
          brief: this.brief.trim(),
          words: this.length,
          columns: columns.map((column) => this.asColumn(column)),
          model: null,
        },
        "drafts",
        (event) => turn === this.#turn && this.#hear(columns, event),
      );
      if (turn !== this.#turn) return false;
      drafts.forEach((draft, i) => {
        const column = columns[i];
        if (!column) return;
        column.draft = draft;
        column.text = draft.text;
      });
      return drafts.length === columns.length && drafts.every((draft) => draft.ended !== "cancelled");
    } catch (error) {
      const wrong = asUserError(error);
      if (wrong.code !== "cancelled" && turn === this.#turn) this.error = wrong;
      return false;
    } finally {
      if (turn === this.#turn) this.#ended(columns);
    }
  }

  #ended(columns: ColumnState[]): void {
    for (const column of columns) column.writing = false;
    this.writing = false;
    this.#job = null;
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
    for (const column of this.columns) column.forget();
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
    const turn = this.#turn;
    if (!(await this.#write([left, right])) || !left.draft || !right.draft) return;
    try {
      const answer = await this.studio.ask(
        { type: "blind_pair", left: left.draft.id, right: right.draft.id },
        "pair",
      );
      if (turn === this.#turn) this.blind.show(answer.pair);
    } catch (error) {
      if (turn === this.#turn) this.error = asUserError(error);
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
      if (draft.profile !== this.studio.profileId) return;
      this.kept = keep
        ? [answer.draft, ...this.kept.filter((d) => d.id !== draft.id)]
        : this.kept.filter((d) => d.id !== draft.id);
      this.studio.say(keep ? "Kept." : "No longer kept.");
    } catch (error) {
      this.error = asUserError(error);
    }
  }

  /** Keeps the person's own version of a draft beside it, for training to learn the difference; null forgets it. */
  async edit(draft: Draft, text: string | null): Promise<boolean> {
    const answer = await this.#mark({ type: "draft_edit", draft: draft.id, text });
    if (answer) this.studio.say(answer.edited === null ? "No version of your own is kept." : "Your version is kept; training can learn from it.");
    return answer !== null;
  }

  /** What the person thinks of a single draft; the same thumb again takes it back. */
  async thumb(draft: Draft, thumb: Thumb): Promise<void> {
    const next = draft.thumb === thumb ? null : thumb;
    const answer = await this.#mark({ type: "draft_thumb", draft: draft.id, thumb: next });
    if (answer) this.studio.say(next === null ? "Taken back." : next === "up" ? "More like this, then." : "Less like this, then.");
  }

  async #mark(request: Extract<Request, { type: "draft_edit" | "draft_thumb" }>): Promise<Draft | null> {
    try {
      const { draft } = await this.studio.ask(request, "draft");
      for (const column of this.columns) if (column.draft?.id === draft.id) column.draft = draft;
      this.kept = this.kept.map((d) => (d.id === draft.id ? draft : d));
      return draft;
    } catch (error) {
      this.error = asUserError(error);
      return null;
    }
  }

  async deleteDraft(draft: Draft): Promise<void> {
    try {
      const { gone } = await this.studio.ask({ type: "draft_delete", draft: draft.id }, "gone");
      this.kept = this.kept.filter((d) => d.id !== draft.id);
      for (const column of this.columns) if (column.draft?.id === draft.id) column.forget();
      this.studio.say([gone.what, ...gone.derived].join(" "));
      await this.loadTallies();
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
          brief: this.brief.trim(),
          words: this.length,
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
