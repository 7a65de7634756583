/** The summary paragraph: what the person wrote is never overwritten without their say. */
import { asUserError } from "../backend/backend";
import type { Profile, UserError } from "../generated/bindings";
import type { Studio } from "./studio.svelte";

export class SummaryState {
  /** As stored. */
  stored = $state("");
  /** Whether the stored one is the person's own wording. */
  edited = $state(false);
  /** As it stands in the box. */
  text = $state("");
  /** A new one that waits beside the person's own. */
  proposal = $state<string | null>(null);
  busy = $state(false);
  error = $state.raw<UserError | null>(null);
  dirty = $derived(this.text !== this.stored);

  constructor(private readonly studio: Studio) {}

  /** Takes what is stored; an unsaved edit in the box stays. */
  receive(profile: Profile): void {
    const untouched = !this.dirty;
    this.stored = profile.summary;
    this.edited = profile.summary_edited;
    if (untouched) this.text = profile.summary;
  }

  clear(): void {
    this.stored = "";
    this.text = "";
    this.edited = false;
    this.proposal = null;
    this.error = null;
  }

  async save(text = this.text): Promise<void> {
    const profile = this.studio.profileId;
    if (!profile) return;
    await this.#busy(async () => {
      const answer = await this.studio.ask({ type: "summary_set", profile, text }, "profile");
      this.stored = answer.profile.summary;
      this.text = answer.profile.summary;
      this.studio.takeProfile(answer.profile);
      this.studio.say("Summary saved in your words.");
    });
  }

  discard(): void {
    this.text = this.stored;
  }

  async regenerate(): Promise<void> {
    const profile = this.studio.profileId;
    if (!profile) return;
    await this.#busy(async () => {
      const { text, stored } = await this.studio.ask({ type: "summary_generate", profile }, "summary");
      const untouched = !this.dirty;
      if (stored) {
        this.stored = text;
        this.edited = false;
      }
      if (stored && untouched) this.text = text;
      else if (text !== this.text) this.proposal = text;
      else this.studio.say("The new summary says the same as yours.");
    });
  }

  async acceptProposal(): Promise<void> {
    if (this.proposal === null) return;
    await this.save(this.proposal);
    if (!this.error) this.proposal = null;
  }

  keepMine(): void {
    this.proposal = null;
  }

  async #busy(work: () => Promise<void>): Promise<void> {
    this.busy = true;
    this.error = null;
    try {
      await work();
    } catch (error) {
      this.error = asUserError(error);
    } finally {
      this.busy = false;
    }
  }
}
