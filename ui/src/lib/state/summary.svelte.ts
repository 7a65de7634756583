/** The summary paragraph: what the person wrote is never overwritten without their say. */
import { asUserError } from "../backend/backend";
import type { Profile, UserError } from "../generated/bindings";
import type { Studio } from "./studio.svelte";

export class SummaryState {
  /** As stored. */
  stored = $state("");
  /** Whether the stored one is the person's own wording. */
  edited = $state(false);
  /** A new one that waits beside the person's own. */
  proposal = $state<string | null>(null);
  busy = $state(false);
  error = $state.raw<UserError | null>(null);

  constructor(private readonly studio: Studio) {}

  get #field(): string {
    return `summary ${this.studio.profileId}`;
  }

  /** As it stands in the box: the unsaved edit, else what is stored. */
  get text(): string {
    return this.studio.unsaved.get(this.#field) ?? this.stored;
  }

  set text(text: string) {
    this.studio.unsaved.over(this.#field, this.stored, text);
  }

  get dirty(): boolean {
    return this.text !== this.stored;
  }

  /** Takes what is stored; an unsaved edit in the box stays. */
  receive(profile: Profile): void {
    this.stored = profile.summary;
    this.edited = profile.summary_edited;
  }

  clear(): void {
    this.stored = "";
    this.edited = false;
    this.proposal = null;
    this.busy = false;
    this.error = null;
  }

  async save(text = this.text): Promise<void> {
    await this.#busy(async (profile, current) => {
      const field = this.#field;
      const answer = await this.studio.ask({ type: "summary_set", profile, text }, "profile");
      // What was typed on while it was being saved is not saved yet.
      const typed = this.studio.unsaved.get(field);
      if (typed === text || this.proposal === text) this.studio.unsaved.drop(field);
      this.studio.takeProfile(answer.profile);
      if (current()) this.studio.say("Summary saved in your words.");
    });
  }

  discard(): void {
    this.studio.unsaved.drop(this.#field);
  }

  async regenerate(): Promise<void> {
    await this.#busy(async (profile, current) => {
      const { text, stored } = await this.studio.ask({ type: "summary_generate", profile }, "summary");
      if (!current()) return;
      const untouched = !this.dirty;
      if (stored) {
        this.stored = text;
        this.edited = false;
      }
      if (stored && untouched) return;
      if (text !== this.text) this.proposal = text;
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

  /** Works for the current profile; `current` says whether it still is when an answer comes. */
  async #busy(work: (profile: string, current: () => boolean) => Promise<void>): Promise<void> {
    const profile = this.studio.profileId;
    if (!profile) return;
    const current = () => profile === this.studio.profileId;
    this.busy = true;
    this.error = null;
    try {
      await work(profile, current);
    } catch (error) {
      if (current()) this.error = asUserError(error);
    } finally {
      if (current()) this.busy = false;
    }
  }
}
