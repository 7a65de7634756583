/** The catalog: fetching, importing, checking, choosing, removing. */
import { asUserError } from "../backend/backend";
import type { DoctorReport, FileTicket, ModelEntry, UserError } from "../generated/bindings";
import { newJob, reduceJob, type Job } from "./jobs.svelte";
import type { Studio } from "./studio.svelte";

export class ModelsState {
  list = $state.raw<ModelEntry[]>([]);
  loading = $state(false);
  error = $state.raw<UserError | null>(null);
  /** Transfers by model id. */
  pulls = $state<Record<string, Job>>({});
  /** What went wrong with one model, by id. */
  errors = $state<Record<string, UserError>>({});
  reports = $state<Record<string, DoctorReport>>({});

  constructor(private readonly studio: Studio) {}

  async load(): Promise<void> {
    this.loading = true;
    try {
      this.list = (await this.studio.ask({ type: "model_list" }, "models")).models;
      this.error = null;
    } catch (error) {
      this.error = asUserError(error);
    } finally {
      this.loading = false;
    }
  }

  /** The writer the studio suggests first: the one in use, else the first of the catalog. */
  suggested = $derived(
    this.list.find((m) => m.role === "writer" && m.in_use) ?? this.list.find((m) => m.role === "writer") ?? null,
  );

  /** Fetches a model; `licence` says what the person answered where a licence has to be accepted. */
  async pull(id: string, licence: "accepted" | "not_asked"): Promise<void> {
    if (this.pulls[id]) return;
    this.pulls[id] = newJob;
    delete this.errors[id];
    try {
      const { model } = await this.studio.ask(
        { type: "model_pull", model: id, accept_licence: licence === "accepted" },
        "model",
        (event) => {
          const job = this.pulls[id];
          if (job) this.pulls[id] = reduceJob(job, event);
        },
      );
      this.#take(model);
      this.studio.say(`${model.name} is ready.`);
    } catch (error) {
      const wrong = asUserError(error);
      if (wrong.code !== "cancelled") this.errors[id] = wrong;
    } finally {
      delete this.pulls[id];
      await this.load();
      await this.studio.refreshStatus();
    }
  }

  async stop(id: string): Promise<void> {
    const job = this.pulls[id]?.id;
    if (job !== null && job !== undefined) await this.studio.stopJob(job);
  }

  async importPicked(): Promise<void> {
    try {
      await this.importFiles(await this.studio.backend.pickFiles());
    } catch (error) {
      this.error = asUserError(error);
    }
  }

  async importFiles(files: FileTicket[]): Promise<void> {
    for (const file of files) {
      try {
        const { model } = await this.studio.ask({ type: "model_import", file }, "model");
        this.#take(model);
        this.studio.say(`${model.name} is ready.`);
        this.error = null;
      } catch (error) {
        this.error = asUserError(error);
      }
    }
    await this.studio.refreshStatus();
  }

  async use(id: string): Promise<void> {
    await this.#one(id, async () => {
      await this.studio.ask({ type: "model_use", model: id }, "model");
      await this.load();
      await this.studio.refreshStatus();
    });
  }

  async remove(id: string): Promise<void> {
    await this.#one(id, async () => {
      const { gone } = await this.studio.ask({ type: "model_remove", model: id }, "gone");
      this.studio.say(gone.what);
      await this.load();
      await this.studio.refreshStatus();
    });
  }

  /** Until the studio is closed, this model is loaded whatever the free memory. */
  async anyway(id: string): Promise<void> {
    await this.#one(id, async () => {
      await this.studio.ask({ type: "model_anyway", model: id }, "ok");
      this.studio.say("It will be loaded anyway. Go on with what you were doing.");
    });
  }

  /** A file that was set aside may be tried again. */
  async release(id: string): Promise<void> {
    await this.#one(id, async () => {
      const { model } = await this.studio.ask({ type: "model_release", model: id }, "model");
      this.#take(model);
      await this.studio.refreshStatus();
    });
  }

  async check(id: string): Promise<void> {
    await this.#one(id, async () => {
      this.reports[id] = (await this.studio.ask({ type: "model_doctor", model: id }, "doctor")).report;
    });
  }

  async #one(id: string, work: () => Promise<void>): Promise<void> {
    delete this.errors[id];
    try {
      await work();
    } catch (error) {
      this.errors[id] = asUserError(error);
    }
  }

  #take(model: ModelEntry): void {
    this.list = this.list.some((m) => m.id === model.id)
      ? this.list.map((m) => (m.id === model.id ? model : m))
      : [...this.list, model];
  }
}
