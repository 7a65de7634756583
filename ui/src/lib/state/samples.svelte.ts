/** The person's texts: pasting, importing with “whose words?”, putting back, removing. */
import { asUserError } from "../backend/backend";
import type { FileTicket, Gone, ImportCounts, ImportScan, Sample, UserError } from "../generated/bindings";
import { plural, wordCount } from "../format";
import type { Studio } from "./studio.svelte";

/** One file on its way in. */
export type Import = {
  ticket: FileTicket;
  /** Whose texts it brings; null until there is a profile at all. */
  profile: string | null;
  scan: ImportScan | null;
  /** Keys of the participants the person says they are. */
  mine: string[];
  step: "scanning" | "choosing" | "reading" | "done" | "failed";
  counts: ImportCounts | null;
  error: UserError | null;
};

const noWords: UserError = {
  code: "empty",
  message: "There are no words in this.",
  hint: "Paste something you wrote. What stands in the field stays there.",
};

export class SamplesState {
  list = $state.raw<Sample[]>([]);
  loading = $state(false);
  error = $state.raw<UserError | null>(null);
  /** What is in the paste area; kept until it is stored. */
  pasted = $state("");
  adding = $state(false);
  addError = $state.raw<UserError | null>(null);
  /** The row that was just added, to point it out. */
  latest = $state<string | null>(null);
  /** Files on their way in, of every profile: a choice that waits is not lost by looking elsewhere. */
  #imports = $state<Import[]>([]);
  removed = $state.raw<Gone | null>(null);
  /** Texts by id, for quoting. */
  texts = $derived(new Map(this.list.map((sample) => [sample.id, sample.text])));

  constructor(private readonly studio: Studio) {}

  /** Files on their way into the current profile. */
  get imports(): Import[] {
    return this.#imports.filter((item) => item.profile === null || item.profile === this.studio.profileId);
  }

  clear(): void {
    this.list = [];
    this.loading = false;
    this.error = null;
    this.removed = null;
    this.latest = null;
  }

  async load(): Promise<void> {
    const profile = this.studio.profileId;
    if (!profile) {
      this.list = [];
      return;
    }
    this.loading = true;
    try {
      const { samples } = await this.studio.ask({ type: "sample_list", profile }, "samples");
      if (profile !== this.studio.profileId) return;
      this.list = samples;
      this.error = null;
    } catch (error) {
      if (profile === this.studio.profileId) this.error = asUserError(error);
    } finally {
      if (profile === this.studio.profileId) this.loading = false;
    }
  }

  /** Stores what was pasted. The text stays in the area until Rust has confirmed it. */
  async add(): Promise<void> {
    const text = this.pasted;
    if ((await this.addText(text)) && this.pasted === text) this.pasted = "";
  }

  /** Adds a text; whether it was stored. */
  async addText(text: string): Promise<boolean> {
    if (!text.trim() || this.adding) return false;
    this.addError = wordCount(text) > 0 ? null : noWords;
    if (this.addError) return false;
    this.adding = true;
    try {
      const profile = await this.studio.needProfile();
      const { sample, counts } = await this.studio.ask(
        { type: "sample_add", profile: profile.id, text, title: null },
        "sample",
      );
      this.latest = sample.id;
      const parts = counts && counts.kept > 1 ? `, cut between paragraphs into ${plural(counts.kept, "text")}` : "";
      this.studio.say(`Added: ${plural(counts?.words ?? sample.words, "word")}${parts}.`);
      await this.#changed();
      return true;
    } catch (error) {
      this.addError = asUserError(error);
      return false;
    } finally {
      this.adding = false;
    }
  }

  async pick(): Promise<void> {
    try {
      await this.importFiles(await this.studio.backend.pickFiles());
    } catch (error) {
      this.addError = asUserError(error);
    }
  }

  /** Looks at each file; where it holds several people's words it waits for the person's choice. */
  async importFiles(tickets: FileTicket[]): Promise<void> {
    for (const ticket of tickets) {
      const profile = this.studio.profileId;
      this.#imports.push({ ticket, profile, scan: null, mine: [], step: "scanning", counts: null, error: null });
      const item = this.#imports[this.#imports.length - 1];
      if (!item) continue;
      try {
        item.scan = (await this.studio.ask({ type: "import_scan", file: ticket }, "import_scan")).scan;
        if (item.scan.participants.length > 0) item.step = "choosing";
        else await this.runImport(item);
      } catch (error) {
        item.error = asUserError(error);
        item.step = "failed";
      }
    }
  }

  choose(item: Import, key: string, on: boolean): void {
    item.mine = on ? [...item.mine.filter((k) => k !== key), key] : item.mine.filter((k) => k !== key);
  }

  async runImport(item: Import): Promise<void> {
    item.step = "reading";
    item.error = null;
    try {
      // Into the profile it was dropped on, whichever is looked at by now.
      item.profile ??= (await this.studio.needProfile()).id;
      const { counts } = await this.studio.ask(
        { type: "import_run", profile: item.profile, file: item.ticket, mine: item.mine },
        "imported",
      );
      item.counts = counts;
      item.step = "done";
      this.studio.say(`Imported ${plural(counts.kept, "text")}.`);
      await this.#changed();
    } catch (error) {
      item.error = asUserError(error);
      // A wrong choice of people can be put right; anything else has failed.
      item.step = item.error.code === "choose_author" ? "choosing" : "failed";
    }
  }

  dismissImport(item: Import): void {
    this.#imports = this.#imports.filter((other) => other.ticket !== item.ticket);
  }

  async restore(id: string): Promise<void> {
    await this.#replace({ type: "sample_restore", sample: id }, "Put back what was cleaned away.");
  }

  async #replace(request: { type: "sample_restore"; sample: string }, said: string): Promise<void> {
    try {
      const { sample } = await this.studio.ask(request, "sample");
      this.list = this.list.map((old) => (old.id === sample.id ? sample : old));
      this.studio.say(said);
      await this.studio.portrait.load();
    } catch (error) {
      this.error = asUserError(error);
    }
  }

  async remove(id: string): Promise<void> {
    try {
      const { gone } = await this.studio.ask({ type: "sample_remove", sample: id }, "gone");
      this.removed = gone;
      this.list = this.list.filter((sample) => sample.id !== id);
      await this.#changed();
    } catch (error) {
      this.error = asUserError(error);
    }
  }

  /** Erases every safety copy of the home; the note of what was removed stays open and says so. */
  async forgetCopies(): Promise<void> {
    try {
      await this.studio.forgetCopies();
      if (this.removed) this.removed = { ...this.removed, copies: 0 };
    } catch (error) {
      this.error = asUserError(error);
      this.removed = null;
    }
  }

  async #changed(): Promise<void> {
    await Promise.all([this.load(), this.studio.refreshProfiles(), this.studio.portrait.load(), this.studio.align.load()]);
  }
}
