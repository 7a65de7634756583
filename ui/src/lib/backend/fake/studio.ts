/** The fake's state and its answers. */
import type {
  Adapter,
  BlindPair,
  Column,
  Draft,
  Event,
  Hypothesis,
  JobSummary,
  ModelEntry,
  Profile,
  Reading,
  Request,
  Response,
  Run,
  Sample,
  Settings,
  UserError,
} from "../../generated/bindings";
import { dimensions, findings, makeFingerprint, makeHypotheses, makeReadings, makeSample, models, words } from "./data";
import { diff, firstTraining, measured, noMeters, plainDraft, plainRun, plainVoice, tally, trialsAt } from "./results";
import { prefers } from "../../state/training";
import { draftTexts, letters } from "./texts";

export type Scenario = "letters" | "empty" | "thousand" | "short" | "nomodel";
type Say = (event: Event) => void;

function fail(code: UserError["code"], message: string, hint: string): never {
  const error: UserError = { code, message, hint };
  throw error;
}

export class FakeStudio {
  profiles: Profile[] = [];
  samples: Sample[] = [];
  readings = new Map<string, Reading[]>();
  hypotheses: Hypothesis[] = [];
  drafts: Draft[] = [];
  pairs = new Map<string, { pair: BlindPair; left: string; right: string; adapter: string | null; against: string | null }>();
  votes: { n: number; wins: number } = { n: 0, wins: 0 };
  /** By voice and what it was held against. */
  retestVotes: Record<string, { n: number; wins: number }> = {};
  runs: Run[] = [];
  adapters: Adapter[] = [];
  models: ModelEntry[] = structuredClone(models);
  settings: Settings = { theme: "system", reduce_motion: false, device: "auto", threads: 0, model: "" };
  revision = 1;
  /** Jobs that no page of this fake started. */
  jobs: JobSummary[] = [];
  cutShort: { what: string; lost: string }[] = [];
  #job = 0;
  #next = 0x100;
  #cancelled = new Set<number>();
  #paused = new Set<number>();
  #keepBest = new Set<number>();

  constructor(
    scenario: Scenario,
    private readonly tick: number,
  ) {
    if (scenario === "empty" || scenario === "nomodel") {
      if (scenario === "nomodel") {
        this.models = this.models.map((m) => (m.state === "ready" ? { ...m, state: "available" } : m));
        this.#fill("p-000000000001", "My letters", letters.length);
      }
      return;
    }
    const size = scenario === "thousand" ? 1000 : scenario === "short" ? 1 : letters.length;
    this.#fill("p-000000000001", "My letters", size);
    if (scenario === "short") this.samples = this.samples.map((s) => ({ ...s, text: "A short note — nothing more.", words: 5, title: "A short note" }));
    this.#profile("p-000000000002", "Work mail");
    if (scenario === "letters") {
      this.cutShort = [{ what: "Training of “My letters”", lost: "Step 12 of 40 was the last one saved. Your texts, drafts and votes are all there." }];
      const { run, adapter } = firstTraining(this.samples.map((sample) => sample.id));
      this.runs = [run];
      this.adapters = [adapter];
    }
  }

  #profile(id: string, name: string): Profile {
    const profile: Profile = {
      id,
      name,
      created_at: "2026-11-01T09:00:00Z",
      sensitive: false,
      self_description: "",
      summary: "",
      summary_edited: false,
      samples: 0,
      words: 0,
    };
    this.profiles.push(profile);
    return profile;
  }

  #fill(id: string, name: string, size: number): void {
    const profile = this.#profile(id, name);
    this.samples = Array.from({ length: size }, (_, n) => makeSample(id, n));
    profile.summary =
      size > 3
        ? "Writes the way they talk: short sentences, thoughts joined by dashes, a question before the end. Prefers a short answer that says the thing first. Likes books and walking, dislikes fuss."
        : "";
    this.#infer(id, this.profiles[0] ?? profile);
    this.#count(id);
  }

  #of(profile: string): Sample[] {
    return this.samples.filter((s) => s.profile === profile);
  }

  #count(id: string): void {
    const own = this.#of(id);
    this.profiles = this.profiles.map((p) => (p.id === id ? { ...p, samples: own.length, words: own.reduce((n, s) => n + s.words, 0) } : p));
  }

  #infer(id: string, profile: Profile): void {
    const old = new Map(this.readings.get(id)?.map((r) => [r.id, r]));
    this.readings.set(
      id,
      makeReadings(this.#of(id), profile.sensitive).map((r) => ({ ...r, override: old.get(r.id)?.override ?? null, object: old.get(r.id)?.object ?? null })),
    );
    if (this.#of(id).length > 3) this.hypotheses = makeHypotheses(this.#of(id));
  }

  #find(id: string): Profile {
    return this.profiles.find((p) => p.id === id) ?? fail("not_found", "No profile has this id.", "Pick another profile.");
  }

  #id(prefix: string): string {
    return `${prefix}-${(this.#next++).toString(16).padStart(12, "0")}`;
  }

  #set(id: string, change: Partial<Profile>): Response {
    this.profiles = this.profiles.map((p) => (p.id === id ? { ...p, ...change } : p));
    return { type: "profile", profile: this.#find(id) };
  }

  async #wait(ticks = 1): Promise<void> {
    // Even at tick 0 a turn of the event loop passes, as it would with a real backend.
    await new Promise((resolve) => setTimeout(resolve, this.tick * ticks));
  }

  #start(say: Say, label: string, canPause = false): number {
    const job = ++this.#job;
    say({ type: "started", job, label, can_pause: canPause });
    return job;
  }

  #check(job: number): void {
    if (this.#cancelled.has(job)) fail("cancelled", "You stopped it.", "Nothing that was stored is lost.");
  }

  async answer(request: Request, say: Say): Promise<Response> {
    switch (request.type) {
      case "status":
        return this.#status();
      case "cut_short_seen":
        this.cutShort = [];
        return { type: "ok" };
      case "settings_show":
        return { type: "settings", settings: this.settings };
      case "settings_set":
        this.settings = request.settings;
        return { type: "settings", settings: this.settings };
      case "profile_list":
        return { type: "profiles", profiles: this.profiles };
      case "profile_new":
        if (this.profiles.some((p) => p.name === request.name)) fail("duplicate", `There is already a profile called “${request.name}”.`, "Give it another name.");
        return { type: "profile", profile: this.#profile(this.#id("p"), request.name) };
      case "profile_rename":
        return this.#set(request.profile, { name: request.name });
      case "profile_describe":
        return this.#set(request.profile, { self_description: request.text });
      case "profile_wishes": {
        const sentences = this.#find(request.profile).self_description.match(/[^.!?]+[.!?]?/g) ?? [];
        const wishes = sentences.flatMap((said) => {
          const sentence = said.trim();
          const found = /\bI (like|avoid) ([^.!?]+)/.exec(sentence);
          return found?.[2] ? [{ wanted: found[1] === "like", thing: found[2], sentence }] : [];
        });
        return { type: "wishes", wishes };
      }
      case "profile_sensitive": {
        const answer = this.#set(request.profile, { sensitive: request.on });
        this.#infer(request.profile, this.#find(request.profile));
        return answer;
      }
      case "profile_delete": {
        const { name } = this.#find(request.profile);
        this.profiles = this.profiles.filter((p) => p.id !== request.profile);
        return { type: "gone", gone: { what: `The profile “${name}” is deleted.`, derived: ["12 samples", "1 trained voice"], voices: [], copies: 1 } };
      }
      case "profile_show":
        return this.#show(request.profile);
      case "profile_export":
        return { type: "exported", voice: { system_prompt: "Write as this person does.\n- Use dashes where others use commas.\n- Open with “So” or “Right” and no greeting.", style_guide: "# How I write\n\n- Dashes where others use commas.\n- No greeting.\n", json: '{\n  "version": 1\n}' } };
      case "summary_set":
        return this.#set(request.profile, { summary: request.text, summary_edited: true });
      case "summary_generate": {
        await this.#wait(8);
        const text = "Talks on paper: short sentences, dashes, one question. Wants the answer first and no padding.";
        const stored = !this.#find(request.profile).summary_edited;
        if (stored) this.#set(request.profile, { summary: text });
        return { type: "summary", text, stored };
      }
      case "sample_add":
        return this.#addSample(request.profile, request.text);
      case "sample_list":
        return { type: "samples", samples: this.#of(request.profile) };
      case "sample_show":
        return { type: "sample", sample: this.#sample(request.sample), counts: null };
      case "sample_restore": {
        const sample = this.#sample(request.sample);
        const whole = { ...sample, text: `${sample.text}\n\n${sample.removed.map((r) => r.text).join("\n")}`, removed: [] };
        this.samples = this.samples.map((s) => (s.id === sample.id ? whole : s));
        return { type: "sample", sample: whole, counts: null };
      }
      case "sample_remove": {
        const sample = this.#sample(request.sample);
        this.samples = this.samples.filter((s) => s.id !== sample.id);
        this.#count(sample.profile);
        return { type: "gone", gone: { what: "The sample is removed.", derived: ["the readings of “My letters” (now out of date)", "1 trained voice that learned from it"], voices: this.adapters.filter((a) => a.samples.includes(sample.id)).map((a) => a.id), copies: 2 } };
      }
      case "copies_forget":
        return { type: "gone", gone: { what: "The 2 safety copies of this home are erased.", derived: [], voices: [], copies: 0 } };
      case "import_scan":
        return this.#scan(request.file);
      case "import_run": {
        await this.#wait(10);
        const added = [makeSample(request.profile, 0x40), makeSample(request.profile, 0x41)].map((s) => ({ ...s, id: this.#id("s"), kind: "email" as const }));
        this.samples = [...added, ...this.samples];
        this.#count(request.profile);
        return { type: "imported", samples: added, counts: { kept: 2, words: 340, split: 1, other_people: 14, quoted_replies: 3, signatures: 2, boilerplate: 1, duplicates: 1, too_short: 4, other_language: 0, attachments: 2, html_only: 1, stopped_at_limit: true } };
      }
      case "fingerprint_show":
        return { type: "fingerprint", fingerprint: makeFingerprint(this.#of(request.profile)) };
      case "infer":
        return this.#inferSlowly(request.profile, say);
      case "dimension_set":
        return this.#reading(request.profile, request.dimension, (r) => ({ ...r, override: request.score, direction: Math.sign(request.score) }));
      case "dimension_reset":
        return this.#reading(request.profile, request.dimension, (r) => ({ ...r, override: null }));
      case "dimension_object":
        return this.#reading(request.profile, request.dimension, (r) => ({ ...r, object: request.object, status: "not_enough_evidence", note: "Read again to see what your texts say about it." }));
      case "hypothesis_list":
        return { type: "hypotheses", hypotheses: this.hypotheses };
      case "hypothesis_decide": {
        const { decision } = request;
        this.hypotheses = this.hypotheses.map((h) => {
          if (h.id !== request.hypothesis) return h;
          if (decision.kind === "edit") return { ...h, statement: decision.statement, status: "edited" };
          return { ...h, status: decision.kind === "accept" ? "accepted" : decision.kind === "reject" ? "rejected" : "supported" };
        });
        const hypothesis = this.hypotheses.find((h) => h.id === request.hypothesis) ?? fail("not_found", "No such claim.", "Reload the profile.");
        return { type: "hypothesis", hypothesis };
      }
      case "hypothesis_add": {
        const hypothesis: Hypothesis = { id: this.#id("h"), category: "style", statement: request.statement, instruction: request.statement, evidence: [], status: "accepted", support: null };
        this.hypotheses = [...this.hypotheses, hypothesis];
        return { type: "hypothesis", hypothesis };
      }
      case "prompt_preview":
        return { type: "prompts", prompts: request.columns.map((c) => this.#prompt(c, request.brief, request.words)), notes: request.columns.map(() => []) };
      case "write":
        return this.#write(request, say);
      case "draft_list":
        return { type: "drafts", drafts: [...this.drafts].reverse() };
      case "draft_keep":
        this.drafts = this.drafts.map((d) => (d.id === request.draft ? { ...d, kept: request.keep } : d));
        return { type: "draft", draft: this.#draft(request.draft) };
      case "draft_edit":
        this.drafts = this.drafts.map((d) => (d.id === request.draft ? { ...d, edited: request.text?.trim() === d.text.trim() ? null : (request.text?.trim() ?? null) } : d));
        return { type: "draft", draft: this.#draft(request.draft) };
      case "draft_thumb":
        this.drafts = this.drafts.map((d) => (d.id === request.draft ? { ...d, thumb: request.thumb } : d));
        return { type: "draft", draft: this.#draft(request.draft) };
      case "draft_delete":
        this.drafts = this.drafts.filter((d) => d.id !== request.draft);
        return { type: "gone", gone: { what: "The draft is deleted.", derived: [], voices: [], copies: 0 } };
      case "draft_diff":
        return { type: "diff", parts: diff(this.#draft(request.left).text, this.#draft(request.right).text) };
      case "blind_pair":
        return { type: "pair", pair: this.#pair(request.left, request.right, 1, 1, null) };
      case "vote_cast":
        return this.#vote(request.pair, request.choice);
      case "vote_tally":
        return { type: "tallies", tallies: this.votes.n > 0 ? [tally("hypotheses", "base", this.votes.wins, this.votes.n)] : [] };
      case "align_preflight":
      case "align_measure": {
        await this.#wait(4);
        const own = this.#of(request.profile);
        const count = own.reduce((n, s) => n + s.words, 0);
        const ready = count >= 300;
        const thumbs = (thumb: "up" | "down"): number => this.drafts.filter((d) => d.thumb === thumb).length;
        const preferring = prefers(request.settings.objective);
        const edits = this.drafts.filter((d) => d.edited !== null).length;
        const picks = Object.values(this.retestVotes).reduce((n, votes) => n + votes.n, 0);
        const retests = request.settings.preferences.includes("retests") ? picks : 0;
        const preferences = this.votes.n + retests + edits + Math.min(thumbs("up"), thumbs("down"));
        const smaller = { ...request.settings, recompute: true };
        return {
          type: "preflight",
          preflight: {
            samples: own.length,
            words: count,
            train_chunks: preferring ? preferences : Math.max(0, Math.round(count / 120) - 1),
            held_out_chunks: ready && !preferring ? 2 : 0,
            held_out_samples: ready && !preferring ? own.slice(0, 1).map((s) => s.id) : [],
            votes: this.votes.n,
            retests,
            edits,
            thumbs_up: thumbs("up"),
            thumbs_down: thumbs("down"),
            preferences,
            briefs_written: 0,
            briefs_missing: 0,
            tokens: Math.round(count * 1.33),
            duplicates: 0,
            needed_bytes: 1_400_000_000,
            free_bytes: 9_800_000_000,
            seconds: 95 * (request.settings.epochs / 3),
            measured: request.type === "align_measure" || !request.settings.recompute,
            ready: preferring ? preferences >= 8 : ready,
            too_little: preferring ? (preferences > 0 && preferences < 8 ? `${preferences} preferences say little.` : "") : ready || count === 0 ? "" : `${count} words say little.`,
            ladder: [
              { settings: request.settings, words: "As set.", needed_bytes: 1_400_000_000, seconds: 95, fits: true },
              { settings: smaller, words: "Computes part of each pass twice instead of remembering it.", needed_bytes: 700_000_000, seconds: 125, fits: true },
            ],
            advice: ready ? ["With fewer than 2,000 words the voice stays faint; the blind test will tell."] : [`About ${300 - count} more words are needed to hold some back for testing.`],
            settings_in_words: [`${request.settings.epochs} passes over your texts`, `Small change to every layer (rank ${request.settings.rank})`, "Stops by itself when the held-out texts stop getting better"],
          },
        };
      }
      case "align_sft":
        return this.#train(request.profile, request.name, request.settings, say);
      case "run_resume": {
        const run = this.runs.find((r) => r.id === request.run) ?? fail("not_found", "No such training.", "Reload the list.");
        this.runs = this.runs.filter((r) => r.id !== run.id);
        return this.#train(run.profile, request.name, run.settings, say);
      }
      case "run_discard": {
        this.runs = this.runs.map((r) => (r.id === request.run ? { ...r, status: "cancelled", resumable: false } : r));
        const run = this.runs.find((r) => r.id === request.run) ?? fail("not_found", "No such training.", "Reload the list.");
        return { type: "run", run, adapter: null };
      }
      case "run_list":
        return { type: "runs", runs: this.runs.filter((r) => r.profile === request.profile) };
      case "adapter_list":
        return { type: "adapters", adapters: this.adapters.filter((a) => a.profile === request.profile) };
      case "adapter_show":
        return { type: "adapter", adapter: this.#adapter(request.adapter) };
      case "adapter_rename":
        this.adapters = this.adapters.map((a) => (a.id === request.adapter ? { ...a, name: request.name } : a));
        return { type: "adapter", adapter: this.#adapter(request.adapter) };
      case "adapter_export":
        return { type: "adapter_exported", report: { written: String(request.to), form: request.form, difference: 2.1e-6, tokens: 512, storage: request.form === "merged" ? "F16" : "", bytes: 9_800_000 } };
      case "adapter_import":
      case "adapter_stack": {
        const first = this.adapters[0] ?? fail("not_found", "There is no trained voice.", "Train one first.");
        const made = request.type === "adapter_stack" ? { parents: request.parts.map((part) => part.id), imported: "Mixed from 50 % of one and 50 % of another" } : { imported: "Brought in from a GGUF adapter; what it learned from is not known here" };
        const adapter = { ...first, ...plainVoice, ...made, id: `a-${this.adapters.length + 1}`, name: request.name ?? "Brought in", run: null, samples: [], base_held_out: null, own_held_out: null };
        this.adapters = [adapter, ...this.adapters];
        return { type: "adapter", adapter };
      }
      case "adapter_measure":
        this.adapters = this.adapters.map((a) => (a.id === request.adapter ? { ...a, report: measured } : a));
        return { type: "adapter", adapter: this.#adapter(request.adapter) };
      case "adapter_retire":
        this.adapters = this.adapters.map((a) => (a.id === request.adapter ? { ...a, retired_at: request.retired ? "2026-11-21T12:00:00Z" : null } : a));
        return { type: "adapter", adapter: this.#adapter(request.adapter) };
      case "adapter_retrain": {
        const { profile, name, run } = this.#adapter(request.adapter);
        const { settings } = this.runs.find((r) => r.id === run) ?? fail("usage", "It was not trained here.", "Train another one.");
        return this.#train(profile, request.name ?? `${name} (anew)`, settings, say);
      }
      case "adapter_delete": {
        const adapter = this.#adapter(request.adapter);
        this.adapters = this.adapters.filter((a) => a.id !== adapter.id);
        return { type: "gone", gone: { what: `The trained voice “${adapter.name}” is deleted.`, derived: ["3 drafts were written with it; they stay, marked"], voices: [], copies: 0 } };
      }
      case "retest_start":
        return this.#retest(request.adapter, request.against, request.pairs, say);
      case "retest_show":
        return { type: "retest", retest: this.#retestState(request.adapter, request.against) };
      case "model_list":
        return { type: "models", models: this.models };
      case "model_show":
        return { type: "model", model: this.#model(request.model) };
      case "model_pull":
        return this.#pull(request.model, request.accept_licence, say);
      case "model_import": {
        const model: ModelEntry = { ...(models[0] as ModelEntry), id: this.#id("m"), name: "imported.gguf", about: "Imported from your disk.", state: "imported", in_use: false };
        this.models = [...this.models, model];
        return { type: "model", model };
      }
      case "model_doctor": {
        const model = this.#model(request.model);
        const usable = model.state === "ready" || model.state === "imported";
        return { type: "doctor", report: { usable, verdict: usable ? "This model can be used, with one warning: memory." : "This model cannot be used as it is; broken: tensors.", checks: [], findings: findings(usable) } };
      }
      case "model_release":
        this.#setModel(request.model, { state: "imported", set_aside: false, note: "" });
        return { type: "model", model: this.#model(request.model) };
      case "model_anyway":
        return { type: "ok" };
      case "model_remove": {
        const model = this.#model(request.model);
        this.#setModel(model.id, { state: "available", details: "" });
        return { type: "gone", gone: { what: `${model.name} is removed.`, derived: [], voices: [], copies: 0 } };
      }
      case "model_use":
        this.models = this.models.map((m) => (m.role === "writer" ? { ...m, in_use: m.id === request.model } : m));
        return { type: "model", model: this.#model(request.model) };
      case "job_cancel":
        this.#cancelled.add(request.job);
        this.#paused.delete(request.job);
        return { type: "ok" };
      case "job_keep_best":
        this.#keepBest.add(request.job);
        this.#paused.delete(request.job);
        return { type: "ok" };
      case "job_pause":
        this.#paused.add(request.job);
        return { type: "ok" };
      case "job_resume":
        this.#paused.delete(request.job);
        return { type: "ok" };
      default:
        return fail("internal", `The fake does not answer “${request.type}”.`, "Use the real studio.");
    }
  }

  #status(): Response {
    // As in Rust, the one in use is the one chosen, there or not.
    const model = this.models.find((m) => m.role === "writer" && m.in_use);
    const ready = model?.state === "ready" || model?.state === "imported";
    return {
      type: "status",
      status: {
        version: "0.1.0",
        home: "~/.local/share/idiolect",
        models: "~/.local/share/idiolect-models",
        model: model?.name.replace(" Instruct", "") ?? "no model yet",
        model_id: model?.id ?? "smollm2-135m-instruct",
        model_ready: ready,
        device: "CPU (2 threads, AVX2)",
        device_why: "this build has no CUDA.",
        jobs: this.jobs,
        cut_short: this.cutShort,
        shared_home: false,
        revision: this.revision,
        dimensions,
      },
    };
  }

  #show(id: string): Response {
    const own = this.#of(id);
    const readings = this.readings.get(id) ?? makeReadings([], this.#find(id).sensitive);
    return {
      type: "profile_view",
      view: {
        profile: this.#find(id),
        model: own.length > 3 ? "smollm2-135m-instruct" : "",
        stale: this.#next > 0x100 && own.length > 3,
        dimensions: readings,
        hypotheses: own.length > 3 ? this.hypotheses : [],
        fingerprint: makeFingerprint(own),
      },
    };
  }

  #sample(id: string): Sample {
    return this.samples.find((s) => s.id === id) ?? fail("not_found", "This sample is no longer there.", "Reload the list.");
  }

  #draft(id: string): Draft {
    return this.drafts.find((d) => d.id === id) ?? fail("not_found", "This draft is no longer there.", "Write it again.");
  }

  #adapter(id: string): Adapter {
    return this.adapters.find((a) => a.id === id) ?? fail("not_found", "This voice is no longer there.", "Pick another one.");
  }

  #model(id: string): ModelEntry {
    return this.models.find((m) => m.id === id) ?? fail("not_found", "No model has this id.", "Pick one from the list.");
  }

  #setModel(id: string, change: Partial<ModelEntry>): void {
    this.models = this.models.map((m) => (m.id === id ? { ...m, ...change } : m));
  }

  #addSample(profile: string, text: string): Response {
    if (!text.trim()) fail("empty", "There is no text to add.", "Paste something you wrote.");
    if (this.samples.some((s) => s.text.trim() === text.trim())) fail("duplicate", "This text is already among your samples.", "Paste another one.");
    const title = text.trim().split("\n")[0] ?? "";
    const sample: Sample = { ...makeSample(profile, 0), id: this.#id("s"), title, text, words: words(text), language: "en", kind: "pasted", removed: [], note: words(text) < 20 ? "Too short to say much; it still counts." : "" };
    this.samples = [sample, ...this.samples];
    this.#count(profile);
    return { type: "sample", sample, counts: null };
  }

  #scan(file: string): Response {
    if (file === "t-binary") fail("not_text", "This file is not text the studio can read.", "Import .txt, .md, .html, .docx, .eml, .mbox or a chat export.");
    if (file === "t-document") return { type: "import_scan", scan: { file_name: "essay.docx", kind: "Word document", bytes: 41_200, passages: 3, participants: [] } };
    return {
      type: "import_scan",
      scan: {
        file_name: "Sent.mbox",
        kind: "Mailbox",
        bytes: 4_812_000,
        passages: 61,
        participants: [
          { key: "maren@example.org", display: "Maren Halloran <maren@example.org>", messages: 31, words: 4210 },
          { key: "tom@example.org", display: "Tom Reyes <tom@example.org>", messages: 22, words: 1980 },
          { key: "ines@example.org", display: "Ines <ines@example.org>", messages: 8, words: 640 },
        ],
      },
    };
  }

  async #inferSlowly(profile: string, say: Say): Promise<Response> {
    const job = this.#start(say, "Reading 90 dimensions");
    for (let done = 0; done <= 90; done += 10) {
      this.#check(job);
      say({ type: "progress", done, total: 90, unit: "dimensions", message: "Reading dimensions", seconds_left: done > 20 ? (90 - done) / 6 : null });
      await this.#wait(6);
    }
    this.#infer(profile, this.#find(profile));
    this.#next = 0x100;
    return this.#show(profile);
  }

  #reading(profile: string, id: string, change: (r: Reading) => Reading): Response {
    const list = (this.readings.get(profile) ?? makeReadings([], false)).map((r) => (r.id === id ? change(r) : r));
    this.readings.set(profile, list);
    return { type: "reading", reading: list.find((r) => r.id === id) ?? fail("not_found", "No such dimension.", "Pick one from the list.") };
  }

  #prompt(column: Column, brief: string, length: number | null): string {
    const personal = column.method === "base" ? "" : "<|im_start|>system\nWrite as this person does.\n- Use dashes where others use commas.\n- Ask the reader one question.<|im_end|>\n";
    return `${personal}<|im_start|>user\n${brief}.${length === null ? "" : ` Write about ${length} words.`}<|im_end|>\n<|im_start|>assistant\n`;
  }

  async #write(request: Extract<Request, { type: "write" }>, say: Say): Promise<Response> {
    const job = this.#start(say, `Writing ${request.columns.length} drafts`);
    const texts = request.columns.map((c) => (draftTexts[c.adapter ? "adapter" : c.method] ?? draftTexts["base"] ?? "").split(/(?<= )/));
    const longest = Math.max(...texts.map((t) => t.length));
    const sent = texts.map(() => 0);
    let cancelled = false;
    for (let i = 0; i < longest && !cancelled; i++) {
      texts.forEach((t, column) => {
        const text = t[i];
        if (text !== undefined) {
          say({ type: "column_text", column, text });
          sent[column] = i + 1;
        }
      });
      if (i % 4 === 0) say({ type: "progress", done: i, total: longest, unit: "tokens", message: "Writing", seconds_left: (longest - i) / 20 });
      await this.#wait();
      cancelled = this.#cancelled.has(job);
    }
    const drafts = request.columns.map((column, i): Draft => {
      const text = (texts[i] ?? []).slice(0, sent[i] ?? 0).join("");
      const personal = column.method !== "base" || column.adapter !== null;
      return {
        id: this.#id("d"),
        profile: request.profile,
        intent: request.intent,
        method: column.method,
        brief: request.brief,
        prompt: this.#prompt(column, request.brief, request.words),
        text,
        tokens: Math.round(words(text) * 1.33),
        prompt_tokens: 64,
        seconds: 3.2,
        tokens_per_second: 31.5,
        sampling: column.sampling,
        model: "smollm2-135m-instruct",
        adapter: column.adapter,
        ended: cancelled ? "cancelled" : "stop",
        meters: { style_match: personal ? 0.71 : 0.28, longest_copied_words: column.method.includes("excerpts") ? 6 : 2, copied: column.method.includes("excerpts") ? "it'll go grey by itself" : "", hypotheses_met: personal ? 4 : 1, hypotheses_checked: 5 },
        kept: false,
        ...plainDraft,
        created_at: "2026-11-21T12:00:00Z",
      };
    });
    this.drafts.push(...drafts);
    return { type: "drafts", drafts };
  }

  #pair(left: string, right: string, number: number, of: number, adapter: string | null, against: string | null = null): BlindPair {
    // Every other pair is turned round, so that sides say nothing.
    const turned = this.pairs.size % 2 === 1;
    const [a, b] = turned ? [right, left] : [left, right];
    const pair: BlindPair = { id: this.#id("b"), brief: this.#draft(a).brief, left: this.#draft(a).text, right: this.#draft(b).text, number, of };
    this.pairs.set(pair.id, { pair, left: a, right: b, adapter, against });
    return pair;
  }

  #vote(id: string, choice: "left" | "right" | "tie" | "skip"): Response {
    const entry = this.pairs.get(id) ?? fail("not_found", "This pair is no longer there.", "Start a new round.");
    this.pairs.delete(id);
    const left = this.#draft(entry.left);
    const right = this.#draft(entry.right);
    const totals = entry.adapter ? this.#retestTotals(entry.adapter, entry.against) : this.votes;
    const challengerLeft = entry.adapter ? left.adapter?.id === entry.adapter : left.method !== "base";
    if (choice !== "skip") {
      totals.n += 1;
      totals.wins += choice === "tie" ? 0.5 : (choice === "left") === challengerLeft ? 1 : 0;
    }
    return {
      type: "voted",
      voted: {
        vote: { pair: id, profile: left.profile, left: left.id, right: right.id, choice, voter: { kind: "person" }, cast_at: "2026-11-21T12:00:00Z" },
        left,
        right,
        tally: entry.adapter ? this.#retestState(entry.adapter, entry.against).tally : tally(challengerLeft ? left.method : right.method, "base", totals.wins, totals.n),
      },
    };
  }

  async #train(profile: string, name: string | null, settings: Run["settings"], say: Say): Promise<Response> {
    const job = this.#start(say, `Training a voice for “${this.#find(profile).name}”`, true);
    const run: Run = { id: this.#id("r"), profile, model: "smollm2-135m-instruct", objective: settings.objective, ...plainRun, settings, samples: this.#of(profile).map((s) => s.id), status: "running", message: "", curve: [], trials: [], tokens_per_second: 0, peak_bytes: 0, seconds: 0, adapter: null, started_at: "2026-11-21T12:00:00Z" };
    say({ type: "progress", done: 0, total: 0, unit: "steps", message: "Loading the model", seconds_left: null });
    await this.#wait(6);
    say({ type: "run_started", run, steps: 40 });
    for (let step = 0; step <= 40; step++) {
      while (this.#paused.has(job)) await this.#wait(2);
      if (this.#cancelled.has(job)) {
        this.runs = [{ ...run, status: "cancelled" }, ...this.runs];
        return { type: "run", run: { ...run, status: "cancelled" }, adapter: null };
      }
      const drafts = step % 8 === 0 && settings.trial_drafts > 0 ? trialsAt(step).slice(0, settings.trial_drafts) : [];
      if (drafts.length > 0) {
        run.trials.push(...drafts);
        say({ type: "trials", run: run.id, drafts });
      }
      const meters = drafts.length > 0 ? { style: 0.5 + step / 200, copied: 0 } : {};
      const point = { step, loss: step === 0 ? null : 3.1 + 0.7 * Math.exp(-step / 12) + 0.06 * Math.sin(step * 2.3), held_out: step % 8 === 0 ? 3.3 + 0.5 * Math.exp(-step / 14) : null, ...noMeters, ...meters };
      run.curve.push(point);
      say({ type: "loss", run: run.id, point, steps: 40, tokens_per_second: 212, peak_bytes: 1_420_000_000, seconds_left: (40 - step) * 2.3 });
      await this.#wait(5);
      if (this.#keepBest.has(job)) break;
    }
    const adapter: Adapter = { id: this.#id("a"), profile, name: name ?? `${this.#find(profile).name} ${this.adapters.length + 1}`, model: run.model, model_sha256: "3f".repeat(32), run: run.id, ...plainVoice, objective: settings.objective, method: settings.method, samples: run.samples, samples_gone: 0, rank: settings.rank, alpha: settings.alpha, base_held_out: 3.78, own_held_out: 3.33, bytes: 4_900_000, created_at: "2026-11-21T12:02:00Z" };
    const finished: Run = { ...run, status: this.#keepBest.has(job) ? "stopped" : "finished", adapter: adapter.id, tokens_per_second: 212, peak_bytes: 1_420_000_000, seconds: 94 };
    this.runs = [finished, ...this.runs];
    this.adapters = [adapter, ...this.adapters];
    return { type: "run", run: finished, adapter };
  }

  async #retest(adapter: string, against: string | null, pairs: number, say: Say): Promise<Response> {
    const job = this.#start(say, "Writing pairs for the blind test");
    for (let i = 0; i < pairs; i++) {
      this.#check(job);
      say({ type: "progress", done: i, total: pairs, unit: "pairs", message: `Writing pair ${i + 1} of ${pairs}`, seconds_left: (pairs - i) * 4 });
      await this.#wait(4);
      const make = (use: Draft["adapter"], text: string): string => {
        const draft: Draft = { id: this.#id("d"), profile: "p-000000000001", intent: "as-me", method: "base", brief: "Tell a neighbour the fence will be a week late.", prompt: "", text, tokens: 60, prompt_tokens: 40, seconds: 2, tokens_per_second: 30, sampling: { temperature: 0.8, top_p: 1, top_k: 0, min_p: 0.05, repetition_penalty: 1.2, seed: i, max_tokens: 200, stop: [] }, model: "smollm2-135m-instruct", adapter: use, ended: "stop", meters: { style_match: null, longest_copied_words: 0, copied: "", hypotheses_met: 0, hypotheses_checked: 0 }, kept: false, ...plainDraft, created_at: "2026-11-21T12:00:00Z" };
        this.drafts.push(draft);
        return draft.id;
      };
      const other = against === null ? null : { id: against, scale: 1, contrast: 0 };
      this.#pair(make(other, draftTexts["base"] ?? ""), make({ id: adapter, scale: 1, contrast: 0 }, draftTexts["adapter"] ?? ""), i + 1, pairs, adapter, against);
    }
    return { type: "retest", retest: this.#retestState(adapter, against) };
  }

  #retestTotals(adapter: string, against: string | null): { n: number; wins: number } {
    return (this.retestVotes[`${adapter} ${against}`] ??= { n: 0, wins: 0 });
  }

  #retestState(adapter: string, against: string | null) {
    const waiting = [...this.pairs.values()].filter((p) => p.adapter === adapter && p.against === against).map((p) => p.pair);
    const { wins, n } = this.#retestTotals(adapter, against);
    const side = (id: string | null): string => (id === null ? "base" : `base + trained voice ${id} at 1`);
    const result = tally(side(adapter), side(against), wins, n);
    return { adapter, against, waiting, tally: { ...result, words: `“${this.#adapter(adapter).name}” wins ${result.words}` } };
  }

  async #pull(id: string, accepted: boolean, say: Say): Promise<Response> {
    const model = this.#model(id);
    if (model.licence_gate && !accepted) fail("licence_required", `${model.name} comes under the ${model.licence}.`, "Read it and accept it before fetching.");
    if (id === "gemma-3-1b-it") fail("source_unreachable", "The model's source cannot be reached from here.", "Check the connection, or import a GGUF file you already have.");
    const job = this.#start(say, `Fetching ${model.name}`);
    const total = model.bytes ?? 1_000_000_000;
    for (let i = 0; i <= 20; i++) {
      if (this.#cancelled.has(job)) {
        this.#setModel(id, { state: "partial", note: "Part of it is here; fetching goes on from there." });
        this.#check(job);
      }
      say({ type: "progress", done: (total * i) / 20, total, unit: "bytes", message: "Fetching", seconds_left: (20 - i) * 3 });
      await this.#wait(5);
    }
    this.#setModel(id, { state: "ready", note: "", details: "Q4_K_M, context 8,192 tokens" });
    return { type: "model", model: this.#model(id) };
  }
}
