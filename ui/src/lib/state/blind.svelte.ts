/** One blind pair at a time: what is shown before the vote, and what was what after it. */
import { asUserError } from "../backend/backend";
import type { BlindPair, Choice, Tally, UserError, Voted } from "../generated/bindings";
import type { Studio } from "./studio.svelte";

export class BlindState {
  pair = $state.raw<BlindPair | null>(null);
  /** The answer to the last vote; while it is null nothing on screen may tell which draft is which. */
  voted = $state.raw<Voted | null>(null);
  tally = $state.raw<Tally | null>(null);
  voting = $state(false);
  error = $state.raw<UserError | null>(null);

  constructor(private readonly studio: Studio) {}

  show(pair: BlindPair): void {
    this.pair = pair;
    this.voted = null;
    this.error = null;
  }

  clear(): void {
    this.pair = null;
    this.voted = null;
    this.error = null;
    this.voting = false;
  }

  async cast(choice: Choice): Promise<Voted | null> {
    const pair = this.pair;
    if (!pair || this.voting || this.voted) return null;
    this.voting = true;
    this.error = null;
    try {
      const { voted } = await this.studio.ask(
        { type: "vote_cast", pair: pair.id, choice, voter: { kind: "person" } },
        "voted",
      );
      void this.studio.compare.loadTallies();
      // Stored all the same, but its pair is not on screen any more.
      if (this.pair !== pair) return null;
      this.voted = voted;
      this.tally = voted.tally;
      if (choice === "skip") this.studio.say("Skipped; not counted.");
      return voted;
    } catch (error) {
      if (this.pair === pair) this.error = asUserError(error);
      return null;
    } finally {
      if (this.pair === pair) this.voting = false;
    }
  }
}

const choiceKeys: Record<string, Choice> = { "1": "left", "2": "right", "0": "tie", s: "skip", S: "skip" };

/** The choice a key stands for, unless it was typed into a field or with a modifier. */
export function choiceOf(event: KeyboardEvent): Choice | null {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return null;
  const target = event.target;
  if (target instanceof HTMLElement && target.closest("input, textarea, select, [contenteditable], dialog")) return null;
  return choiceKeys[event.key] ?? null;
}
