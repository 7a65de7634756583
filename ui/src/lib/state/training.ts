/** A training in numbers: its settings made fit to send, and what its events make of it. */
import type { Event, JobSummary, LossPoint, Objective, PreferenceSource, Run, TrainSettings, TrialDraft } from "../generated/bindings";

/** As `TrainSettings::default` in Rust. */
export const defaultSettings: TrainSettings = {
  objective: "sft",
  rank: 8,
  alpha: 16,
  rank_stabilized: false,
  dropout: 0,
  targets: ["q", "k", "v", "o", "gate", "up", "down"],
  learning_rate: 5e-4,
  warm_up: 4,
  schedule: "linear",
  clip: 1,
  weight_decay: 0,
  epochs: 3,
  batch: 2,
  accumulate: 1,
  max_length: 256,
  chunk_words: 120,
  held_out: 0.15,
  method: "base",
  briefs: "counted",
  preferences: ["votes", "edits", "thumbs"],
  beta: 0.1,
  label_smoothing: 0,
  length_normalised: false,
  precision: "bf16",
  recompute: false,
  trial_drafts: 2,
  seed: 1,
  early_stop: true,
};

/** What can be learned, in words. */
export const objectiveWords: [Objective, string][] = [
  ["sft", "my texts"],
  ["ditto", "my few texts, and to prefer them to its own drafts (DITTO)"],
  ["dpo", "what I prefer, held to the model it starts from (DPO)"],
  ["orpo", "what I prefer, without that hold (ORPO)"],
  ["kto", "single drafts that I liked or did not (KTO)"],
];

/** Where preferences come from, in words. */
export const sourceWords: [PreferenceSource, string][] = [
  ["votes", "Votes"],
  ["edits", "Corrected drafts"],
  ["thumbs", "Thumbs"],
  ["retests", "Votes of blind tests"],
];

/** Which weights a training can change, in words; these among them, whatever they are. */
export function targetWords(targets: string[]): [string, string][] {
  const known: [string, string][] = [
    [defaultSettings.targets.join(","), "all linear ones of every layer"],
    ["q,v", "queries and values only: smaller, quicker"],
  ];
  const own = targets.join(",");
  return known.some(([value]) => value === own) ? known : [...known, [own, own]];
}

/** Whether it learns from preferences rather than from texts. */
export function prefers(objective: Objective): boolean {
  return objective === "dpo" || objective === "orpo" || objective === "kto";
}

/** A method with an ingredient put in or taken out. */
export function withIngredient(method: string, part: string): string {
  const parts = method.split("+").filter((p) => p !== "base");
  const next = parts.includes(part) ? parts.filter((p) => p !== part) : [...parts, part];
  return next.length > 0 ? next.join("+") : "base";
}

/** A number from a field: within its range, or the default while the field is empty. */
function within(value: number | null | undefined, low: number, high: number, otherwise: number): number {
  return typeof value === "number" && Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : otherwise;
}

/** Settings as Rust can take them, whatever the fields hold just now. */
export function tidySettings(settings: TrainSettings): TrainSettings {
  const d = defaultSettings;
  return {
    ...settings,
    rank: Math.round(within(settings.rank, 1, 256, d.rank)),
    // Alpha follows the rank at its default ratio, so that a larger change is not also a stronger one.
    alpha: 2 * Math.round(within(settings.rank, 1, 256, d.rank)),
    learning_rate: within(settings.learning_rate, 1e-6, 0.1, d.learning_rate),
    epochs: Math.round(within(settings.epochs, 1, 100, d.epochs)),
    held_out: within(settings.held_out, 0, 0.5, d.held_out),
    beta: within(settings.beta, 0.01, 10, d.beta),
    trial_drafts: Math.round(within(settings.trial_drafts, 0, 4, d.trial_drafts)),
    seed: Math.round(within(settings.seed, 0, Number.MAX_SAFE_INTEGER, d.seed)),
  };
}

/** A run while it trains. */
export type Live = {
  job: number | null;
  run: Run | null;
  steps: number;
  curve: LossPoint[];
  trials: TrialDraft[];
  tokensPerSecond: number;
  peakBytes: number;
  secondsLeft: number | null;
  message: string;
  /** Begun by this page before it was loaded again, or in another window or command. */
  elsewhere: boolean;
};

export const notStarted: Live = {
  job: null,
  run: null,
  steps: 0,
  curve: [],
  trials: [],
  tokensPerSecond: 0,
  peakBytes: 0,
  secondsLeft: null,
  message: "Loading the model",
  elsewhere: false,
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
    case "trials":
      return { ...live, trials: [...live.trials, ...event.drafts] };
    default:
      return live;
  }
}

/**
 * A run of the list that trains now although this page did not start it; null where there is none. Its job, where it
 * runs in this process, is found by what it is called: a training is the only job that can pause.
 */
export function fromElsewhere(runs: Run[], jobs: JobSummary[], profile: string): Live | null {
  const run = runs.find((r) => r.status === "running" || r.status === "paused");
  if (!run) return null;
  const job = jobs.find((j) => j.can_pause && j.label.includes(`“${profile}”`));
  return { ...notStarted, job: job?.job ?? null, run, curve: run.curve, trials: run.trials, tokensPerSecond: run.tokens_per_second, peakBytes: run.peak_bytes, elsewhere: true };
}
