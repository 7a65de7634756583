import { expect, test } from "vitest";
import { noMeters } from "../backend/fake/results";
import type { Event, LossPoint } from "../generated/bindings";
import { Jobs, newJob, reduceJob, shareDone } from "./jobs.svelte";
import { notStarted, reduceLive, type Live } from "./training";

const started: Event = { type: "started", job: 7, label: "Reading 90 dimensions", can_pause: false };

test("a job takes its number and label, then its progress, and ignores what says nothing of it", () => {
  let job = reduceJob(newJob, started);
  expect(job).toMatchObject({ id: 7, label: "Reading 90 dimensions", progress: null });
  job = reduceJob(job, { type: "progress", done: 41, total: 90, unit: "dimensions", message: "", seconds_left: 8 });
  expect(job.progress).toMatchObject({ done: 41, secondsLeft: 8 });
  expect(shareDone(job.progress)).toBeCloseTo(41 / 90);
  expect(reduceJob(job, { type: "column_text", column: 0, text: "Hi" }), "drafts leave the strip alone").toBe(job);
});

test("an unknown total has no share", () => {
  const job = reduceJob(newJob, { type: "progress", done: 3, total: 0, unit: "bytes", message: "", seconds_left: null });
  expect(shareDone(job.progress)).toBeNull();
});

test("the strip shows a job from its start to its end, and others' jobs once", () => {
  const jobs = new Jobs();
  const key = jobs.begin();
  expect(jobs.running, "a request that never became a job is not shown").toHaveLength(0);
  jobs.hear(key, started);
  jobs.reconcile([
    { job: 7, label: "Reading 90 dimensions", paused: false, can_pause: false },
    { job: 9, label: "Training", paused: true, can_pause: true },
  ]);
  expect(jobs.running.map((job) => job.id)).toEqual([7, 9]);
  expect(jobs.running[1]?.paused).toBe(true);
  jobs.end(key);
  expect(jobs.running.map((job) => job.id), "an ended job is not revived by an old status").toEqual([9]);
});

test("a run collects its curve in order", () => {
  const points: LossPoint[] = [
    { step: 0, loss: null, held_out: 3.7, ...noMeters },
    { step: 1, loss: 3.9, held_out: null, ...noMeters },
  ];
  const live = points.reduce<Live>(
    (state, point) => reduceLive(state, { type: "loss", run: "r-1", point, steps: 40, tokens_per_second: 200, peak_bytes: 5, seconds_left: 90 }),
    reduceLive(notStarted, started),
  );
  expect(live.job).toBe(7);
  expect(live.curve).toEqual(points);
  expect(live).toMatchObject({ steps: 40, secondsLeft: 90, tokensPerSecond: 200 });
});
