/** The state of the whole window: which view, which profile, what the studio says of itself. */
import { getContext, setContext } from "svelte";
import { asUserError, type Backend } from "../backend/backend";
import type { Event, FileTicket, Profile, Request, Response, Settings, Status, UserError } from "../generated/bindings";
import { AlignState } from "./align.svelte";
import { CompareState } from "./compare.svelte";
import { Jobs, type Job } from "./jobs.svelte";
import { ModelsState } from "./models.svelte";
import { PortraitState } from "./portrait.svelte";
import { remember, remembered } from "./remember";
import { SamplesState } from "./samples.svelte";
import { Unsaved } from "./unsaved.svelte";

export const viewNames = ["samples", "profile", "compare", "align", "models", "settings"] as const;
export type ViewName = (typeof viewNames)[number];

/** Fields that actions can send the focus to. */
export type Field = "paste" | "brief" | "dimensions";

type ResponseOf<K extends Response["type"]> = Extract<Response, { type: K }>;

/** How often another process's changes are looked for while the home is shared, ms. */
const sharedHomePoll = 4000;
/** As long as nobody else is known to have it open, only every so many times: another window may open later. */
const unsharedEvery = 5;

export class Studio {
  view = $state<ViewName>("samples");
  status = $state.raw<Status | null>(null);
  settings = $state.raw<Settings | null>(null);
  profiles = $state.raw<Profile[]>([]);
  profileId = $state<string | null>(null);
  profile = $derived(this.profiles.find((p) => p.id === this.profileId) ?? null);
  /** Why the studio could not be opened; the window shows only this then. */
  failure = $state.raw<UserError | null>(null);
  loaded = $state(false);
  /** The last thing that was done, said politely to everyone. */
  message = $state.raw({ n: 0, text: "" });
  paletteOpen = $state(false);
  /** A dialog of the profile switcher that an action asked for. */
  profileDialog = $state<"new" | "rename" | "delete" | null>(null);
  /** A field that wants the focus once its view is drawn. */
  wanted = $state<Field | null>(null);

  readonly jobs = new Jobs();
  readonly unsaved = new Unsaved();
  readonly samples = new SamplesState(this);
  readonly portrait = new PortraitState(this);
  readonly compare = new CompareState(this);
  readonly align = new AlignState(this);
  readonly models = new ModelsState(this);

  /** The state of the home that was last read whole. */
  #revision = -1;
  #stopListening: (() => void)[] = [];

  constructor(readonly backend: Backend) {}

  /** Sends a request whose answer is of the named kind; its job shows in the strip meanwhile. */
  async ask<K extends Response["type"]>(
    request: Request,
    want: K,
    onEvent: (event: Event) => void = () => {},
  ): Promise<ResponseOf<K>> {
    const job = this.jobs.begin();
    try {
      // Plain data crosses to Rust: a snapshot drops the reactivity of whatever state it was taken from.
      const response = await this.backend.submit($state.snapshot(request) as Request, (event) => {
        this.jobs.hear(job, event);
        if (event.type === "stage") this.say(event.text);
        onEvent(event);
      });
      if (response.type !== want) throw new Error(`expected “${want}”, got “${response.type}”`);
      return response as ResponseOf<K>;
    } finally {
      this.jobs.end(job);
    }
  }

  /** Opens the studio: status, settings, profiles, then the current profile. */
  async start(): Promise<void> {
    try {
      const [status, settings, profiles] = await Promise.all([
        this.ask({ type: "status" }, "status"),
        this.ask({ type: "settings_show" }, "settings"),
        this.ask({ type: "profile_list" }, "profiles"),
      ]);
      this.#take(status.status);
      this.#revision = status.status.revision;
      this.settings = settings.settings;
      this.profiles = profiles.profiles;
      const last = remembered();
      this.profileId = (this.profiles.find((p) => p.id === last) ?? this.profiles[0])?.id ?? null;
      this.failure = null;
      this.#listen();
      await this.reload();
    } catch (error) {
      this.failure = asUserError(error);
    } finally {
      this.loaded = true;
    }
  }

  stop(): void {
    for (const stop of this.#stopListening.splice(0)) stop();
  }

  #listen(): void {
    this.stop();
    const onFocus = () => void this.refresh();
    window.addEventListener("focus", onFocus);
    let turn = 0;
    const timer = setInterval(() => {
      turn += 1;
      // Another process's changes, and jobs that this page did not start, end without a word to this page.
      const watched = this.status?.shared_home || (this.status?.jobs.length ?? 0) > 0;
      if (watched || turn % unsharedEvery === 0) void this.refresh();
    }, sharedHomePoll);
    this.#stopListening.push(
      () => window.removeEventListener("focus", onFocus),
      () => clearInterval(timer),
      this.backend.onDrop((files) => this.takeFiles(files)),
    );
  }

  /** Asks for the status; where anything was stored by another process, reads everything again. */
  async refresh(): Promise<void> {
    try {
      const { status } = await this.ask({ type: "status" }, "status");
      this.#take(status);
      if (this.#revision !== status.revision && this.jobs.running.length === 0) {
        this.#revision = status.revision;
        await this.refreshProfiles();
        await this.reload();
      } else if (this.align.live?.elsewhere) await this.align.load();
    } catch (error) {
      this.say(asUserError(error).message);
    }
  }

  /** The status alone, after something that changes what the head shows. */
  async refreshStatus(): Promise<void> {
    this.#take((await this.ask({ type: "status" }, "status")).status);
  }

  #take(status: Status): void {
    this.status = status;
    this.jobs.reconcile(status.jobs);
  }

  async refreshProfiles(): Promise<void> {
    this.profiles = (await this.ask({ type: "profile_list" }, "profiles")).profiles;
    if (this.profile) return;
    // Another window deleted it: nothing of it may stay on screen.
    this.profileId = this.profiles[0]?.id ?? null;
    this.#clear();
  }

  /** Reads what belongs to the current profile, all of it at once. */
  async reload(): Promise<void> {
    await Promise.all([
      this.samples.load(),
      this.portrait.load(),
      this.compare.load(),
      this.align.load(),
      this.models.load(),
    ]);
  }

  /** A profile's new state, wherever the answer came from. */
  takeProfile(profile: Profile): void {
    this.profiles = this.profiles.some((p) => p.id === profile.id)
      ? this.profiles.map((p) => (p.id === profile.id ? profile : p))
      : [...this.profiles, profile];
    this.portrait.takeProfile(profile);
  }

  async switchTo(id: string): Promise<void> {
    if (id === this.profileId) return;
    this.profileId = id;
    remember(id);
    this.#clear();
    await this.reload();
  }

  /** Takes everything off screen that belongs to a profile. What was typed and not saved is kept. */
  #clear(): void {
    this.samples.clear();
    this.portrait.clear();
    this.compare.clear();
    this.align.clear();
  }

  async newProfile(name: string): Promise<Profile> {
    const { profile } = await this.ask({ type: "profile_new", name }, "profile");
    this.takeProfile(profile);
    await this.switchTo(profile.id);
    return profile;
  }

  /** The current profile, or a first one: nobody has to name anything before they can paste. */
  async needProfile(): Promise<Profile> {
    if (this.profile) return this.profile;
    const { profile } = await this.ask({ type: "profile_new", name: "My writing" }, "profile");
    // Nothing is cleared or read: what the person has begun stays, and a new profile holds nothing yet.
    this.profileId = profile.id;
    remember(profile.id);
    this.takeProfile(profile);
    return profile;
  }

  async renameProfile(id: string, name: string): Promise<void> {
    const { profile } = await this.ask({ type: "profile_rename", profile: id, name }, "profile");
    this.takeProfile(profile);
    this.say(`Renamed to ${profile.name}.`);
  }

  async deleteProfile(id: string): Promise<string[]> {
    const { gone } = await this.ask({ type: "profile_delete", profile: id }, "gone");
    this.profiles = this.profiles.filter((p) => p.id !== id);
    const next = this.profiles[0]?.id;
    if (id === this.profileId) {
      this.profileId = null;
      if (next) await this.switchTo(next);
      else this.#clear();
    }
    this.say(gone.copies > 0 ? `${gone.what} Safety copies of your home still hold it; Settings erases them.` : gone.what);
    return gone.derived;
  }

  /** Erases every safety copy of the home: what was deleted is still in them. */
  async forgetCopies(): Promise<void> {
    this.say((await this.ask({ type: "copies_forget" }, "gone")).gone.what);
  }

  async setSettings(change: Partial<Settings>): Promise<void> {
    if (!this.settings) return;
    try {
      // Read first: another process, or choosing a model, may have changed them meanwhile.
      const now = await this.ask({ type: "settings_show" }, "settings");
      const { settings } = await this.ask({ type: "settings_set", settings: { ...now.settings, ...change } }, "settings");
      this.settings = settings;
      await this.refreshStatus();
    } catch (error) {
      this.say(asUserError(error).message);
    }
  }

  /** What was cut short has been read, and need not be said again. */
  async cutShortSeen(): Promise<void> {
    try {
      await this.ask({ type: "cut_short_seen" }, "ok");
      await this.refreshStatus();
    } catch (error) {
      this.say(asUserError(error).message);
    }
  }

  /** Stops a job and keeps what there is to keep: of a training, the only job that can pause, the best so far. */
  async endJob(job: Job): Promise<void> {
    if (job.id === null) return;
    const trained = job.canPause && (job.progress === null || job.progress.done > 0);
    await (trained ? this.keepBest(job.id) : this.stopJob(job.id));
  }

  async stopJob(id: number): Promise<void> {
    this.jobs.mark(id, { stopping: true });
    await this.#jobRequest({ type: "job_cancel", job: id });
  }

  async pauseJob(id: number): Promise<void> {
    this.jobs.mark(id, { paused: true });
    await this.#jobRequest({ type: "job_pause", job: id });
  }

  async resumeJob(id: number): Promise<void> {
    this.jobs.mark(id, { paused: false });
    await this.#jobRequest({ type: "job_resume", job: id });
  }

  async keepBest(id: number): Promise<void> {
    this.jobs.mark(id, { stopping: true });
    await this.#jobRequest({ type: "job_keep_best", job: id });
  }

  async #jobRequest(request: Request): Promise<void> {
    try {
      await this.ask(request, "ok");
    } catch (error) {
      // The job ended by itself in the same moment; its own answer says how.
      const { code, message } = asUserError(error);
      if (code !== "not_found") this.say(message);
    }
  }

  /** Dropped or picked files: models go to Models, everything else is a sample. */
  takeFiles(files: FileTicket[]): void {
    if (files.length === 0) return;
    if (this.view === "models") {
      void this.models.importFiles(files);
      return;
    }
    this.go("samples");
    void this.samples.importFiles(files);
  }

  go(view: ViewName): void {
    this.view = view;
    this.paletteOpen = false;
  }

  focusOn(field: Field): void {
    this.wanted = field;
  }

  /** For `use:`: gives the element the focus whenever its field is wanted. */
  takesFocus = (element: HTMLElement, field: Field): void => {
    $effect(() => {
      if (this.wanted !== field) return;
      this.wanted = null;
      element.focus();
    });
  };

  say(text: string): void {
    this.message = { n: this.message.n + 1, text };
  }

  async copy(text: string, what: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      this.say(`Copied ${what}.`);
    } catch {
      this.say("The clipboard could not be written. Select the text and copy it yourself.");
    }
  }

  async save(name: string, text: string): Promise<void> {
    try {
      if (await this.backend.saveFile(name, new TextEncoder().encode(text))) this.say(`Saved ${name}.`);
    } catch (error) {
      this.say(asUserError(error).message);
    }
  }
}

export const studioKey = Symbol("studio");

export function provideStudio(studio: Studio): void {
  setContext(studioKey, studio);
}

export function useStudio(): Studio {
  return getContext<Studio>(studioKey);
}
