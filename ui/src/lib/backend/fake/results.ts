/** What the fake works out: a finished training, results of votes, differences. */
import type { Adapter, AdapterReport, DiffPart, Run, Tally, TrialDraft } from "../../generated/bindings";
import { defaultSettings } from "../../state/training";

/** What only some points of a curve have. */
export const noMeters = { style: null, copied: null, margin: null, accuracy: null };

/** What only some runs have. */
export const plainRun = { votes: [], drafts: [], trials: [], parent: null, resumable: false };

/** What a training writes on its way. */
export function trialsAt(step: number): TrialDraft[] {
  const learned = step > 16;
  return [
    { step, brief: "Write a short text of about 100 words about a coat that no longer fits.", text: learned ? "The coat went to my sister in the end. It was never mine, really; I only wore it to the bus." : "Coats are an essential part of any wardrobe. Here are some tips for choosing the right one.", copied_words: learned ? 4 : 2, copied: 0 },
    { step, brief: "Write a short text of about 100 words about a shop that closed.", text: learned ? "They have taken the sign down. I still slow when I pass it, which is silly." : "Shops close for a variety of reasons, including economic factors and changes in demand.", copied_words: 3, copied: 0 },
  ];
}

/** What measuring a voice finds. */
export const measured: AdapterReport = {
  texts: 5, tokens: 912, bits_base: 4.91, bits_excerpts: 4.72, bits_own: 4.63, bits_wrong_author: 4.71,
  wrong_author: "Harrow, an invented author, learned alike from 1947 tokens a pass (yours from 1830)",
  own_minus_base: [-0.41, -0.12], style_base: 0.6, style_own: 0.64, win_rate: 0.75, win_rate_interval: [0.41, 0.93], win_rate_n: 8,
  notes: ["The judge counts habits and does not read. Whether you like the drafts more, only the blind test says."],
  measured_at: "2026-11-21T12:00:00Z",
};

/** What only some trained voices have. */
export const plainVoice = { objective: "sft" as const, method: "base", votes: [], votes_gone: 0, drafts: [], drafts_gone: 0, parents: [], imported: null, retired_at: null, report: null };

/** What only some drafts have. */
export const plainDraft = { other_adapters: [], edited: null, thumb: null };

/** The training that the profile comes with. */
export function firstTraining(samples: string[]): { run: Run; adapter: Adapter } {
  const curve = Array.from({ length: 41 }, (_, step) => ({
    step,
    loss: step === 0 ? null : 3.1 + 0.7 * Math.exp(-step / 12) + 0.05 * Math.sin(step * 1.7),
    held_out: step % 8 === 0 ? 3.28 + 0.5 * Math.exp(-step / 14) : null,
    ...noMeters,
  }));
  const run: Run = {
    id: "r-000000000001",
    profile: "p-000000000001",
    model: "smollm2-135m-instruct",
    objective: "sft",
    ...plainRun,
    settings: defaultSettings,
    samples,
    status: "finished",
    message: "",
    curve,
    tokens_per_second: 212,
    peak_bytes: 1_420_000_000,
    seconds: 96,
    adapter: "a-000000000001",
    started_at: "2026-11-20T18:00:00Z",
  };
  const adapter: Adapter = {
    id: "a-000000000001",
    profile: run.profile,
    name: "My letters 1",
    model: run.model,
    model_sha256: "3f".repeat(32),
    run: run.id,
    ...plainVoice,
    samples,
    samples_gone: 0,
    rank: 8,
    alpha: 16,
    base_held_out: 3.78,
    own_held_out: 3.31,
    bytes: 4_900_000,
    created_at: "2026-11-20T18:02:00Z",
  };
  return { run, adapter };
}

export function tally(challenger: string, against: string, wins: number, n: number): Tally {
  const share = n > 0 ? wins / n : null;
  const spread = n > 0 ? Math.min(0.5, 0.98 / Math.sqrt(n)) : 0.5;
  const low = Math.max(0, (share ?? 0.5) - spread);
  const high = Math.min(1, (share ?? 0.5) + spread);
  const conclusive = n >= 10 && (low > 0.5 || high < 0.5);
  return { challenger, against, model: "", intent: null, wins, n, share, interval: [low, high], conclusive, words: n < 10 ? "not enough votes yet" : `${Math.round((share ?? 0) * 100)} % [${Math.round(low * 100)}-${Math.round(high * 100)}], n = ${n}` };
}

/** A word-level difference by longest common subsequence; small texts only. */
export function diff(left: string, right: string): DiffPart[] {
  const a = left.split(/(?<=\s)/);
  const b = right.split(/(?<=\s)/);
  const table = Array.from({ length: a.length + 1 }, () => new Array<number>(b.length + 1).fill(0));
  const at = (i: number, j: number): number => table[i]?.[j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    const row = table[i];
    if (!row) continue;
    for (let j = b.length - 1; j >= 0; j--) row[j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  }
  const parts: DiffPart[] = [];
  const push = (side: string, text: string | undefined) => {
    const last = parts[parts.length - 1];
    if (text === undefined) return;
    if (last?.side === side) last.text += text;
    else parts.push({ side, text });
  };
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      push("same", a[i]);
      i += 1;
      j += 1;
    } else if (i < a.length && (j >= b.length || at(i + 1, j) >= at(i, j + 1))) push("left", a[i++]);
    else push("right", b[j++]);
  }
  return parts;
}
