/** What is inferred about a profile, what the person decided, and the voice it can be taken away as. */
import { asUserError } from "../backend/backend";
import type { Decision, Hypothesis, Profile, ProfileView, Reading, StatedWish, UserError, VoiceFile } from "../generated/bindings";
import type { Studio } from "./studio.svelte";
import { SummaryState } from "./summary.svelte";

export class PortraitState {
  view = $state.raw<ProfileView | null>(null);
  loading = $state(false);
  error = $state.raw<UserError | null>(null);
  /** What is searched for among the dimensions. */
  search = $state("");
  voice = $state.raw<VoiceFile | null>(null);
  readonly summary: SummaryState;
  /** Profiles whose samples are being read. */
  #inferring = $state.raw<string[]>([]);
  /** Settings of dimensions on their way. */
  #settings: Promise<unknown> = Promise.resolve();

  constructor(private readonly studio: Studio) {
    this.summary = new SummaryState(studio);
  }

  /** Whether the current profile's samples are being read. */
  get inferring(): boolean {
    return this.#inferring.includes(this.studio.profileId ?? "");
  }

  clear(): void {
    this.view = null;
    this.voice = null;
    this.error = null;
    this.loading = false;
    this.summary.clear();
  }

  async load(): Promise<void> {
    if (!this.studio.profileId) {
      this.clear();
      return;
    }
    this.loading = true;
    const asked = this.studio.profileId;
    await this.#for(async (profile, current) => {
      const { view } = await this.studio.ask({ type: "profile_show", profile }, "profile_view");
      if (current()) this.#take(view);
    });
    if (asked === this.studio.profileId) this.loading = false;
  }

  #take(view: ProfileView): void {
    this.view = view;
    this.error = null;
    this.summary.receive(view.profile);
  }

  takeProfile(profile: Profile): void {
    if (profile.id !== this.studio.profileId) return;
    if (this.view) this.view = { ...this.view, profile };
    this.summary.receive(profile);
  }

  /** Reads all dimensions with the model and tests the hypotheses. */
  async infer(): Promise<void> {
    const at = this.studio.profile;
    if (!at || this.inferring) return;
    this.#inferring = [...this.#inferring, at.id];
    this.error = null;
    await this.#for(async (profile, current) => {
      const { view } = await this.studio.ask({ type: "infer", profile, model: null }, "profile_view");
      if (current()) this.#take(view);
      this.studio.say(current() ? "Your samples are read." : `The samples of ${at.name} are read.`);
    });
    this.#inferring = this.#inferring.filter((id) => id !== at.id);
  }

  async setDimension(dimension: string, score: number): Promise<boolean> {
    return this.#reading((profile) => ({ type: "dimension_set", profile, dimension, score }));
  }

  async resetDimension(dimension: string): Promise<boolean> {
    return this.#reading((profile) => ({ type: "dimension_reset", profile, dimension }));
  }

  async setObject(dimension: string, object: string): Promise<boolean> {
    return this.#reading((profile) => ({ type: "dimension_object", profile, dimension, object }));
  }

  /** One after the other: Rust answers each request on a thread of its own, and the last setting has to win. */
  #reading(request: (profile: string) => Parameters<Studio["ask"]>[0]): Promise<boolean> {
    // Whose setting it is was decided when it was set, not when its turn comes.
    const profile = this.studio.profileId ?? "";
    const done = this.#settings.then(() =>
      this.#for(async (_, current) => {
        const { reading } = await this.studio.ask(request(profile), "reading");
        if (current()) this.#replace(reading);
      }, profile),
    );
    this.#settings = done;
    return done;
  }

  #replace(reading: Reading): void {
    if (!this.view) return;
    this.view = {
      ...this.view,
      dimensions: this.view.dimensions.map((old) => (old.id === reading.id ? reading : old)),
    };
  }

  /** Whether the decision was stored. */
  async decide(id: string, decision: Decision): Promise<boolean> {
    return this.#for(async (_, current) => {
      const { hypothesis } = await this.studio.ask(
        { type: "hypothesis_decide", hypothesis: id, decision },
        "hypothesis",
      );
      if (current()) this.#takeHypothesis(hypothesis);
    });
  }

  /** Adds a claim in the person's own words; whether it was stored. */
  async addHypothesis(statement: string): Promise<boolean> {
    return this.#for(async (profile, current) => {
      const { hypothesis } = await this.studio.ask({ type: "hypothesis_add", profile, statement }, "hypothesis");
      if (current()) this.#takeHypothesis(hypothesis);
    });
  }

  #takeHypothesis(hypothesis: Hypothesis): void {
    if (!this.view) return;
    const known = this.view.hypotheses.some((old) => old.id === hypothesis.id);
    this.view = {
      ...this.view,
      hypotheses: known
        ? this.view.hypotheses.map((old) => (old.id === hypothesis.id ? hypothesis : old))
        : [...this.view.hypotheses, hypothesis],
    };
  }

  async setSensitive(on: boolean): Promise<void> {
    await this.#for(async (profile) => {
      this.studio.takeProfile((await this.studio.ask({ type: "profile_sensitive", profile, on }, "profile")).profile);
    });
    await this.load();
  }

  async describe(text: string): Promise<boolean> {
    return this.#for(async (profile) => {
      this.studio.takeProfile((await this.studio.ask({ type: "profile_describe", profile, text }, "profile")).profile);
    });
  }

  /** What the stored self-description was understood to want and to avoid. */
  async wishes(): Promise<StatedWish[]> {
    let wishes: StatedWish[] = [];
    await this.#for(async (profile) => {
      wishes = (await this.studio.ask({ type: "profile_wishes", profile }, "wishes")).wishes;
    });
    return wishes;
  }

  async export(): Promise<VoiceFile | null> {
    let voice: VoiceFile | null = null;
    await this.#for(async (profile, current) => {
      voice = (await this.studio.ask({ type: "profile_export", profile }, "exported")).voice;
      if (current()) this.voice = voice;
    });
    return voice;
  }

  /**
   * Works for a profile; whether that went well. An answer may come after the person went to another profile:
   * `current` says whether it still belongs on screen. An error that does not is said, and does not stay.
   */
  async #for(
    work: (profile: string, current: () => boolean) => Promise<void>,
    profile = this.studio.profileId,
  ): Promise<boolean> {
    if (!profile) return false;
    const current = () => profile === this.studio.profileId;
    try {
      await work(profile, current);
      return true;
    } catch (error) {
      const wrong = asUserError(error);
      if (current()) this.error = wrong;
      else this.studio.say(wrong.message);
      return false;
    }
  }
}
