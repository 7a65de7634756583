/** Running jobs as the strip at the bottom shows them: a pure reducer and the list it feeds. */
import type { Event, JobSummary } from "../generated/bindings";

export type Progress = {
  done: number;
  total: number;
  unit: string;
  message: string;
  secondsLeft: number | null;
};

export type Job = {
  /** Its number in Rust, once it became a job that can be stopped. */
  id: number | null;
  label: string;
  canPause: boolean;
  paused: boolean;
  stopping: boolean;
  progress: Progress | null;
};

export const newJob: Job = {
  id: null,
  label: "",
  canPause: false,
  paused: false,
  stopping: false,
  progress: null,
};

/** What one event makes of a job. Events that say nothing about progress leave it as it was. */
export function reduceJob(job: Job, event: Event): Job {
  switch (event.type) {
    case "started":
      return { ...job, id: event.job, label: event.label, canPause: event.can_pause };
    case "progress":
      return {
        ...job,
        progress: {
          done: event.done,
          total: event.total,
          unit: event.unit,
          message: event.message,
          secondsLeft: event.seconds_left,
        },
      };
    case "loss":
      return {
        ...job,
        progress: {
          done: event.point.step,
          total: event.steps,
          unit: "steps",
          message: "",
          secondsLeft: event.seconds_left,
        },
      };
    default:
      return job;
  }
}

/** Share done, 0-1; null while the total is unknown. */
export function shareDone(progress: Progress | null): number | null {
  if (!progress || progress.total <= 0) return null;
  return Math.min(1, progress.done / progress.total);
}

/** Jobs of this page by a key of its own, and those another page or command started. */
export class Jobs {
  #own = $state<Record<number, Job>>({});
  #others = $state.raw<JobSummary[]>([]);
  #next = 1;

  /** Jobs that can be stopped, oldest first. */
  running = $derived.by((): Job[] => {
    const own = Object.values(this.#own).filter((job) => job.id !== null);
    const known = new Set(own.map((job) => job.id));
    const others = this.#others
      .filter((job) => !known.has(job.job))
      .map((job) => ({ ...newJob, id: job.job, label: job.label, canPause: job.can_pause, paused: job.paused }));
    return [...own, ...others];
  });

  begin(): number {
    const key = this.#next++;
    this.#own[key] = newJob;
    return key;
  }

  hear(key: number, event: Event): void {
    const job = this.#own[key];
    if (job) this.#own[key] = reduceJob(job, event);
  }

  end(key: number): void {
    const id = this.#own[key]?.id;
    delete this.#own[key];
    if (id !== null && id !== undefined) this.#others = this.#others.filter((job) => job.job !== id);
  }

  /** What the status says runs in this process. */
  reconcile(jobs: JobSummary[]): void {
    this.#others = jobs;
  }

  /** Changes what is known of a job until its own events say more. */
  mark(id: number, change: Partial<Pick<Job, "paused" | "stopping">>): void {
    for (const [key, job] of Object.entries(this.#own)) {
      if (job.id === id) this.#own[Number(key)] = { ...job, ...change };
    }
    if (change.paused !== undefined) {
      const paused = change.paused;
      this.#others = this.#others.map((job) => (job.job === id ? { ...job, paused } : job));
    }
  }
}
