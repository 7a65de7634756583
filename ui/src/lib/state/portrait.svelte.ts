/** What is inferred about a profile, what the person decided, and the voice it can be taken away as. */
import { asUserError } from "../backend/backend";
import type { Decision, Hypothesis, Profile, ProfileView, Reading, UserError, VoiceFile } from "../generated/bindings";
import type { Studio } from "./studio.svelte";
import { SummaryState } from "./summary.svelte";

export class PortraitState {
  view = $state.raw<ProfileView | null>(null);
  loading = $state(false);
  inferring = $state(false);
  error = $state.raw<UserError | null>(null);
  /** What is searched for among the dimensions. */
  search = $state("");
  voice = $state.raw<VoiceFile | null>(null);
  readonly summary: SummaryState;
  /** Settings of dimensions on their way. */
  #settings: Promise<void> = Promise.resolve();

  constructor(private readonly studio: Studio) {
    this.summary = new SummaryState(studio);
  }

  clear(): void {
    this.view = null;
    this.voice = null;
    this.error = null;
    this.summary.clear();
  }

  async load(): Promise<void> {
    const profile = this.studio.profileId;
    if (!profile) {
      this.clear();
      return;
    }
    this.loading = true;
    try {
      const { view } = await this.studio.ask({ type: "profile_show", profile }, "profile_view");
      if (profile === this.studio.profileId) this.#take(view);
    } catch (error) {
      this.error = asUserError(error);
    } finally {
      this.loading = false;
    }
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
    const profile = this.studio.profileId;
    if (!profile || this.inferring) return;
    this.inferring = true;
    this.error = null;
    try {
      const { view } = await this.studio.ask({ type: "infer", profile, model: null }, "profile_view");
      if (profile === this.studio.profileId) this.#take(view);
      this.studio.say("Your samples are read.");
    } catch (error) {
      this.error = asUserError(error);
    } finally {
      this.inferring = false;
    }
  }

  async setDimension(dimension: string, score: number): Promise<void> {
    await this.#reading({ type: "dimension_set", profile: this.studio.profileId ?? "", dimension, score });
  }

  async resetDimension(dimension: string): Promise<void> {
    await this.#reading({ type: "dimension_reset", profile: this.studio.profileId ?? "", dimension });
  }

  async setObject(dimension: string, object: string): Promise<void> {
    await this.#reading({ type: "dimension_object", profile: this.studio.profileId ?? "", dimension, object });
  }

  /** One after the other: Rust answers each request on a thread of its own, and the last setting has to win. */
  #reading(request: Parameters<Studio["ask"]>[0]): Promise<void> {
    this.#settings = this.#settings.then(async () => {
      try {
        const { reading } = await this.studio.ask(request, "reading");
        this.#replace(reading);
      } catch (error) {
        this.error = asUserError(error);
      }
    });
    return this.#settings;
  }

  #replace(reading: Reading): void {
    if (!this.view) return;
    this.view = {
      ...this.view,
      dimensions: this.view.dimensions.map((old) => (old.id === reading.id ? reading : old)),
    };
  }

  async decide(id: string, decision: Decision): Promise<void> {
    try {
      const { hypothesis } = await this.studio.ask(
        { type: "hypothesis_decide", hypothesis: id, decision },
        "hypothesis",
      );
      this.#takeHypothesis(hypothesis);
    } catch (error) {
      this.error = asUserError(error);
    }
  }

  /** Adds a claim in the person's own words; whether it was stored. */
  async addHypothesis(statement: string): Promise<boolean> {
    try {
      const profile = await this.studio.needProfile();
      const { hypothesis } = await this.studio.ask(
        { type: "hypothesis_add", profile: profile.id, statement },
        "hypothesis",
      );
      this.#takeHypothesis(hypothesis);
      return true;
    } catch (error) {
      this.error = asUserError(error);
      return false;
    }
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
    await this.#profile({ type: "profile_sensitive", profile: this.studio.profileId ?? "", on });
    await this.load();
  }

  async describe(text: string): Promise<boolean> {
    return this.#profile({ type: "profile_describe", profile: this.studio.profileId ?? "", text });
  }

  async #profile(request: Parameters<Studio["ask"]>[0]): Promise<boolean> {
    try {
      this.studio.takeProfile((await this.studio.ask(request, "profile")).profile);
      return true;
    } catch (error) {
      this.error = asUserError(error);
      return false;
    }
  }

  async export(): Promise<VoiceFile | null> {
    const profile = this.studio.profileId;
    if (!profile) return null;
    try {
      this.voice = (await this.studio.ask({ type: "profile_export", profile }, "exported")).voice;
      return this.voice;
    } catch (error) {
      this.error = asUserError(error);
      return null;
    }
  }
}
