/** Training a voice of one's own: preflight, the run with its curve, what came of it, the blind re-test. */
import { asUserError } from "../backend/backend";
import type {
  Adapter,
  Choice,
  Event,
  Gone,
  LossPoint,
  Preflight,
  Retest,
  Run,
  SftSettings,
  UserError,
} from "../generated/bindings";
import { BlindState } from "./blind.svelte";
import type { Studio } from "./studio.svelte";

/** As `SftSettings::default` in Rust. */
export const defaultSettings: SftSettings = {
  rank: 8,
  alpha: 16,
  targets: ["q", "k", "v", "o", "gate", "up", "down"],
  learning_rate: 5e-4,
  epochs: 3,
  batch: 2,
  max_length: 256,
  chunk_words: 120,
  held_out: 0.15,
  seed: 1,
  early_stop: true,
};

/** A number from a field: within its range, or the default while the field is empty. */
function within(value: number | null | undefined, low: number, high: number, otherwise: number): number {
  return typeof value === "number" && Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : otherwise;
}

/** Settings as Rust can take them, whatever the fields hold just now. */
export function tidySettings(settings: SftSettings): SftSettings {
  const d = defaultSettings;
  return {
    ...settings,
    rank: Math.round(within(settings.rank, 1, 256, d.rank)),
    // Alpha follows the rank at its default ratio, so that a larger change is not also a stronger one.
    alpha: 2 * Math.round(within(settings.rank, 1, 256, d.rank)),
    learning_rate: within(settings.learning_rate, 1e-6, 0.1, d.learning_rate),
    epochs: Math.round(within(settings.epochs, 1, 100, d.epochs)),
    held_out: within(settings.held_out, 0, 0.5, d.held_out),
    seed: Math.round(within(settings.seed, 0, Number.MAX_SAFE_INTEGER, d.seed)),
  };
}

/** A run while it trains. */
export type Live = {
  job: number | null;
  run: Run | null;
  steps: number;
  curve: LossPoint[];
  tokensPerSecond: number;
  peakBytes: number;
  secondsLeft: number | null;
  message: string;
};

const notStarted: Live = {
  job: null,
  run: null,
  steps: 0,
  curve: [],
  tokensPerSecond: 0,
  peakBytes: 0,
  secondsLeft: null,
  message: "Loading the model",
};

/** What one event makes of a run that trains. */
export function reduceLive(live: Live, event: Event): Live {
  switch (event.type) {
    case "started":
      return { ...live, job: event.job };
    case "progress":
      return { ...live, message: event.message, secondsLeft: event.seconds_left ?? live.secondsLeft };
    case "run_started":
      return { ...live, run: event.run, steps: event.steps };
    case "loss":
      return {
        ...live,
        steps: event.steps,
        curve: [...live.curve, event.point],
        tokensPerSecond: event.tokens_per_second,
        peakBytes: event.peak_bytes,
        secondsLeft: event.seconds_left,
        message: "",
      };
    default:
      return live;
  }
}

export class AlignState {
  settings = $state<SftSettings>({ ...defaultSettings });
  name = $state("");
  preflight = $state.raw<Preflight | null>(null);
  checking = $state(false);
  live = $state.raw<Live | null>(null);
  /** The run that just ended, with what it made. */
  finished = $state.raw<{ run: Run; adapter: Adapter | null } | null>(null);
  runs = $state.raw<Run[]>([]);
  adapters = $state.raw<Adapter[]>([]);
  error = $state.raw<UserError | null>(null);
  deleted = $state.raw<Gone | null>(null);

  retest = $state.raw<Retest | null>(null);
  retesting = $state(false);
  readonly blind: BlindState;

  /** Something changed while the check was under way. */
  #checkAgain = false;
  #jobRetest: number | null = null;

  constructor(private readonly studio: Studio) {
    this.blind = new BlindState(studio);
  }

  clear(): void {
    this.preflight = null;
    this.finished = null;
    this.runs = [];
    this.adapters = [];
    this.error = null;
    this.deleted = null;
    this.retest = null;
    this.blind.clear();
    this.blind.tally = null;
  }

  async load(): Promise<void> {
    const profile = this.studio.profileId;
    if (!profile) return;
    try {
      const [{ runs }, { adapters }] = await Promise.all([
        this.studio.ask({ type: "run_list", profile }, "runs"),
        this.studio.ask({ type: "adapter_list", profile }, "adapters"),
      ]);
      if (profile !== this.studio.profileId) return;
      this.runs = runs;
      this.adapters = adapters;
    } catch (error) {
      this.error = asUserError(error);
    }
  }

  /** What a training would learn from, and whether this machine can do it. */
  async check(): Promise<void> {
    const profile = this.studio.profileId;
    if (!profile) return;
    if (this.checking) {
      this.#checkAgain = true;
      return;
    }
    this.checking = true;
    try {
      do {
        this.#checkAgain = false;
        const answer = await this.studio.ask(
          { type: "align_preflight", profile, settings: tidySettings(this.settings), model: null },
          "preflight",
        );
        if (profile === this.studio.profileId) this.preflight = answer.preflight;
      } while (this.#checkAgain && profile === this.studio.profileId);
      this.error = null;
    } catch (error) {
      this.error = asUserError(error);
    } finally {
      this.checking = false;
    }
  }

  async train(): Promise<void> {
    const profile = this.studio.profileId;
    if (!profile || this.live) return;
    this.live = notStarted;
    this.finished = null;
    this.error = null;
    try {
      const { run, adapter } = await this.studio.ask(
        { type: "align_sft", profile, settings: tidySettings(this.settings), model: null, name: this.name.trim() || null },
        "run",
        (event) => {
          if (this.live) this.live = reduceLive(this.live, event);
        },
      );
      this.finished = { run, adapter };
      this.name = "";
      this.studio.say(adapter ? `${adapter.name} is trained.` : "Training ended without keeping anything.");
    } catch (error) {
      const wrong = asUserError(error);
      if (wrong.code !== "cancelled") this.error = wrong;
    } finally {
      this.live = null;
      await this.load();
    }
  }

  async rename(id: string, name: string): Promise<void> {
    try {
      const { adapter } = await this.studio.ask({ type: "adapter_rename", adapter: id, name }, "adapter");
      this.adapters = this.adapters.map((old) => (old.id === id ? adapter : old));
      if (this.finished?.adapter?.id === id) this.finished = { ...this.finished, adapter };
    } catch (error) {
      this.error = asUserError(error);
    }
  }

  async remove(id: string): Promise<void> {
    try {
      this.deleted = (await this.studio.ask({ type: "adapter_delete", adapter: id }, "gone")).gone;
      if (this.retest?.adapter === id) {
        this.retest = null;
        this.blind.clear();
      }
      if (this.finished?.adapter?.id === id) this.finished = null;
      await this.load();
    } catch (error) {
      this.error = asUserError(error);
    }
  }

  /** Goes on with pairs that wait for a vote, or writes new ones. */
  async startRetest(adapter: string, pairs = 8): Promise<void> {
    if (this.retesting) return;
    this.retesting = true;
    this.error = null;
    this.blind.clear();
    try {
      let { retest } = await this.studio.ask({ type: "retest_show", adapter }, "retest");
      if (retest.waiting.length === 0) {
        ({ retest } = await this.studio.ask(
          // As many votes as there are, as many seeds are used up.
          { type: "retest_start", adapter, pairs, seed: 1 + retest.tally.n },
          "retest",
          (event) => {
            if (event.type === "started") this.#jobRetest = event.job;
          },
        ));
      }
      this.retest = retest;
      this.blind.tally = retest.tally;
      this.nextPair();
    } catch (error) {
      const wrong = asUserError(error);
      if (wrong.code !== "cancelled") this.error = wrong;
    } finally {
      this.retesting = false;
      this.#jobRetest = null;
    }
  }

  async stopRetest(): Promise<void> {
    if (this.#jobRetest !== null) await this.studio.stopJob(this.#jobRetest);
  }

  async vote(choice: Choice): Promise<void> {
    const voted = await this.blind.cast(choice);
    if (!voted || !this.retest) return;
    this.retest = {
      ...this.retest,
      waiting: this.retest.waiting.filter((pair) => pair.id !== voted.vote.pair),
      tally: voted.tally,
    };
  }

  nextPair(): void {
    const pair = this.retest?.waiting[0];
    if (pair) this.blind.show(pair);
    else this.blind.clear();
  }

  leaveRetest(): void {
    this.retest = null;
    this.blind.clear();
  }
}
