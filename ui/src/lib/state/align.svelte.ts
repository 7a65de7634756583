/** Training a voice of one's own: preflight, the run with its curve, what came of it, the blind re-test. */
import { asUserError } from "../backend/backend";
import type { Adapter, Choice, ExportForm, ExportReport, Gone, Preflight, Request, Retest, Run, Rung, TrainSettings, UserError } from "../generated/bindings";
import { BlindState } from "./blind.svelte";
import type { Studio } from "./studio.svelte";
import { defaultSettings, fromElsewhere, notStarted, prefers, reduceLive, tidySettings, type Live } from "./training";

export class AlignState {
  settings = $state<TrainSettings>({ ...defaultSettings });
  name = $state("");
  preflight = $state.raw<Preflight | null>(null);
  checking = $state(false);
  measuring = $state(false);
  /** Runs of this page while they train, by profile. */
  #lives = $state.raw<Record<string, Live>>({});
  /** The current profile's run while it trains, whoever started it. */
  live = $derived.by((): Live | null => {
    const { profile, status } = this.studio;
    if (!profile) return null;
    return this.#lives[profile.id] ?? fromElsewhere(this.runs, status?.jobs ?? [], profile.name);
  });
  /** The run that just ended, with what it made. */
  finished = $state.raw<{ run: Run; adapter: Adapter | null } | null>(null);
  runs = $state.raw<Run[]>([]);
  adapters = $state.raw<Adapter[]>([]);
  error = $state.raw<UserError | null>(null);
  deleted = $state.raw<Gone | null>(null);
  /** What was written for other programs last. */
  exported = $state.raw<ExportReport | null>(null);
  /** The voice that is being measured on texts it did not learn from. */
  measured = $state.raw<string | null>(null);
  /** Why a voice could not be measured, by its id. */
  unmeasured = $state.raw<Record<string, UserError>>({});

  /** The blind test on screen or under way: whose, and against whom (null: the plain model). */
  testing = $state.raw<{ adapter: string; against: string | null } | null>(null);
  /** Pairs of the next round. */
  pairs = $state(8);
  /** What each voice is compared with next, where that is not the plain model. */
  #opponents = $state.raw<Record<string, string | null>>({});
  retest = $state.raw<Retest | null>(null);
  retesting = $state(false);
  readonly blind: BlindState;

  /** Something changed while the check was under way. */
  #checkAgain = false;
  /** Counts profiles shown: what was begun in an earlier one no longer belongs on screen. */
  #turn = 0;
  #jobRetest: number | null = null;

  constructor(private readonly studio: Studio) {
    this.blind = new BlindState(studio);
  }

  clear(): void {
    this.#turn += 1;
    this.preflight = null;
    this.finished = null;
    this.retesting = false;
    this.#jobRetest = null;
    this.runs = [];
    this.adapters = [];
    this.error = null;
    this.deleted = null;
    this.exported = null;
    this.measured = null;
    this.unmeasured = {};
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
      const before = this.live;
      this.runs = runs;
      this.adapters = adapters;
      // A run that this page only looked on at has ended: its report takes the place of its curve.
      const ended = before?.elsewhere && !this.live && runs.find((run) => run.id === before.run?.id);
      if (ended) this.finished = { run: ended, adapter: adapters.find((adapter) => adapter.id === ended.adapter) ?? null };
      this.studio.compare.offerVoice();
    } catch (error) {
      if (profile === this.studio.profileId) this.error = asUserError(error);
    }
  }

  /** What a training would learn from, and whether this machine can do it. */
  async check(): Promise<void> {
    if (this.checking) {
      this.#checkAgain = true;
      return;
    }
    this.checking = true;
    do {
      this.#checkAgain = false;
      await this.#checkOnce();
    } while (this.#checkAgain);
    this.checking = false;
  }

  async #checkOnce(): Promise<void> {
    const profile = this.studio.profileId;
    if (!profile) return;
    try {
      const { preflight } = await this.studio.ask(
        { type: "align_preflight", profile, settings: tidySettings(this.settings), model: null },
        "preflight",
      );
      if (profile !== this.studio.profileId) return;
      this.preflight = preflight;
      this.error = null;
    } catch (error) {
      if (profile === this.studio.profileId) this.error = asUserError(error);
    }
  }

  /** How long it would take, from three real steps. */
  async measure(): Promise<void> {
    const profile = this.studio.profileId;
    if (!profile || this.checking) return;
    this.checking = this.measuring = true;
    try {
      const { preflight } = await this.studio.ask(
        { type: "align_measure", profile, settings: tidySettings(this.settings), model: null },
        "preflight",
      );
      if (profile === this.studio.profileId) this.preflight = preflight;
    } catch (error) {
      if (profile === this.studio.profileId) this.error = asUserError(error);
    } finally {
      this.checking = this.measuring = false;
    }
  }

  /** Takes the settings of a rung of the ladder. */
  take(rung: Rung): void {
    this.settings = { ...rung.settings };
    this.studio.say("These settings are taken.");
  }

  /** What a voice is called if the person names none. */
  get defaultName(): string {
    return `${this.studio.profile?.name ?? "Voice"} ${this.adapters.length + 1}`;
  }

  async train(anyway = false): Promise<void> {
    await this.#run((profile) => ({ type: "align_sft", profile, settings: tidySettings(this.settings), model: null, name: this.name.trim() || this.defaultName, anyway }));
  }

  /** A training that was cut short and can go on. */
  get cutShort(): Run | null {
    return this.runs.find((run) => run.resumable) ?? null;
  }

  /** Takes up a training that was cut short. */
  async goOn(run: Run): Promise<void> {
    await this.#run(() => ({ type: "run_resume", run: run.id, name: this.name.trim() || this.defaultName, anyway: false }));
  }

  /** Gives it up; its curve stays. */
  async giveUp(run: Run): Promise<void> {
    try {
      await this.studio.ask({ type: "run_discard", run: run.id }, "run");
      this.studio.say("The training is discarded.");
      await this.load();
    } catch (error) {
      this.error = asUserError(error);
    }
  }

  async #run(request: (profile: string) => Extract<Request, { type: "align_sft" | "run_resume" | "adapter_retrain" }>): Promise<void> {
    const profile = this.studio.profileId;
    if (!profile || this.live) return;
    const current = () => profile === this.studio.profileId;
    this.#lives = { ...this.#lives, [profile]: notStarted };
    this.finished = null;
    this.error = null;
    try {
      const { run, adapter } = await this.studio.ask(
        request(profile),
        "run",
        (event) => {
          this.#lives = { ...this.#lives, [profile]: reduceLive(this.#lives[profile] ?? notStarted, event) };
        },
      );
      if (current()) {
        this.finished = { run, adapter };
        this.name = "";
        if (adapter) void this.measureVoice(adapter.id);
      }
      this.studio.say(adapter ? `${adapter.name} is trained.` : "Training ended without keeping anything.");
    } catch (error) {
      const wrong = asUserError(error);
      if (wrong.code === "cancelled") this.studio.say("The training is discarded.");
      else if (current()) this.error = wrong;
      else this.studio.say(wrong.message);
    } finally {
      // The list first: until it says that the run has ended, the run would seem to go on.
      await this.load();
      const { [profile]: _, ...others } = this.#lives;
      this.#lives = others;
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

  /** Measures a voice on texts that it did not learn from; by itself after each training. */
  async measureVoice(id: string): Promise<void> {
    if (this.measured !== null) return;
    const turn = this.#turn;
    this.measured = id;
    const { [id]: _, ...others } = this.unmeasured;
    this.unmeasured = others;
    try {
      const { adapter } = await this.studio.ask({ type: "adapter_measure", adapter: id }, "adapter");
      if (turn !== this.#turn) return;
      this.adapters = this.adapters.map((old) => (old.id === id ? adapter : old));
      if (this.finished?.adapter?.id === id) this.finished = { ...this.finished, adapter };
    } catch (error) {
      if (turn === this.#turn) this.unmeasured = { ...this.unmeasured, [id]: asUserError(error) };
    } finally {
      if (turn === this.#turn) this.measured = null;
    }
  }

  /** Writes a voice for other programs, where the person says. */
  async exportVoice(voice: Adapter, form: ExportForm): Promise<void> {
    this.error = null;
    try {
      const names: Record<ExportForm, string> = { gguf: "as a GGUF adapter", merged: "as a GGUF model", peft: "for PEFT" };
      const to = await this.studio.backend.pickPlace(`${voice.name} ${names[form]}`);
      if (!to) return;
      const { report } = await this.studio.ask({ type: "adapter_export", adapter: voice.id, form, to }, "adapter_exported");
      this.exported = report;
      this.studio.say(`${voice.name} is written.`);
    } catch (error) {
      this.#unlessStopped(error);
    }
  }

  /** Takes in a voice of another program. */
  async importVoice(): Promise<void> {
    const profile = this.studio.profileId;
    if (!profile) return;
    this.error = null;
    try {
      const [file] = await this.studio.backend.pickFiles();
      if (!file) return;
      const { adapter } = await this.studio.ask({ type: "adapter_import", profile, file, model: null, name: null }, "adapter");
      this.studio.say(`${adapter.name} is here.`);
      await this.load();
    } catch (error) {
      this.#unlessStopped(error);
    }
  }

  /** Mixes two voices into a new one: `share` of the second, the rest of the first. */
  async mix(first: Adapter, second: Adapter, share: number): Promise<void> {
    this.error = null;
    const part = (voice: Adapter, scale: number) => ({ id: voice.id, scale, contrast: 0 });
    try {
      const name = `${first.name} and ${second.name}`.slice(0, 80);
      const { adapter } = await this.studio.ask({ type: "adapter_stack", parts: [part(first, 1 - share), part(second, share)], name }, "adapter");
      this.studio.say(`${adapter.name} is mixed.`);
      await this.load();
    } catch (error) {
      this.#unlessStopped(error);
    }
  }

  #unlessStopped(error: unknown): void {
    const wrong = asUserError(error);
    if (wrong.code !== "cancelled") this.error = wrong;
  }

  /** Puts a voice away, or takes it back. */
  async retire(id: string, retired: boolean): Promise<void> {
    try {
      const { adapter } = await this.studio.ask({ type: "adapter_retire", adapter: id, retired }, "adapter");
      this.adapters = this.adapters.map((old) => (old.id === id ? adapter : old));
      if (this.finished?.adapter?.id === id) this.finished = { ...this.finished, adapter };
      this.studio.say(retired ? `${adapter.name} is retired.` : `${adapter.name} is back.`);
    } catch (error) {
      this.error = asUserError(error);
    }
  }

  /** Trains a voice anew on what is there now, as little as that may be; the old one stays. */
  async retrain(voice: Adapter): Promise<void> {
    await this.#run(() => ({ type: "adapter_retrain", adapter: voice.id, name: `${voice.name} (anew)`, anyway: true }));
  }

  async remove(id: string): Promise<void> {
    try {
      this.deleted = (await this.studio.ask({ type: "adapter_delete", adapter: id }, "gone")).gone;
      if (this.retest && [this.retest.adapter, this.retest.against].includes(id)) {
        this.retest = null;
        this.blind.clear();
      }
      if (this.finished?.adapter?.id === id) this.finished = null;
      await this.load();
    } catch (error) {
      this.error = asUserError(error);
    }
  }

  /** Voices that this one can be compared with: on the same model. */
  rivals(adapter: Adapter): Adapter[] {
    return this.adapters.filter((other) => other.id !== adapter.id && other.model_sha256 === adapter.model_sha256);
  }

  /** What a voice is compared with next; null is the plain model. */
  rivalOf(adapter: string): string | null {
    const rival = this.#opponents[adapter];
    return this.adapters.some((known) => known.id === rival) ? (rival ?? null) : null;
  }

  holdAgainst(adapter: string, against: string | null): void {
    this.#opponents = { ...this.#opponents, [adapter]: against };
  }

  /** Goes on with pairs that wait for a vote, or writes new ones. */
  async startRetest(adapter: string, pairs = this.pairs, against = this.rivalOf(adapter)): Promise<void> {
    if (this.retesting) return;
    const turn = this.#turn;
    this.testing = { adapter, against };
    this.retesting = true;
    this.error = null;
    this.blind.clear();
    try {
      let { retest } = await this.studio.ask({ type: "retest_show", adapter, against }, "retest");
      if (retest.waiting.length === 0) {
        ({ retest } = await this.studio.ask(
          // As many votes as there are, as many seeds are used up.
          { type: "retest_start", adapter, against, pairs, seed: 1 + retest.tally.n },
          "retest",
          (event) => {
            if (event.type === "started" && turn === this.#turn) this.#jobRetest = event.job;
          },
        ));
      }
      if (turn !== this.#turn) return;
      this.retest = retest;
      this.blind.tally = retest.tally;
      this.nextPair();
    } catch (error) {
      const wrong = asUserError(error);
      if (wrong.code !== "cancelled" && turn === this.#turn) this.error = wrong;
    } finally {
      if (turn === this.#turn) {
        this.retesting = false;
        this.#jobRetest = null;
      }
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
    // Its votes may be something to learn from.
    if (prefers(this.settings.objective)) void this.check();
  }
}
