/** A studio on the fake backend for tests, and a way to draw a component with it. */
import { render } from "@testing-library/svelte";
import type { Component } from "svelte";
import { createFakeBackend, type FakeBackend } from "../lib/backend/fake";
import { Studio, studioKey } from "../lib/state/studio.svelte";

export async function openStudio(scenario = "letters"): Promise<{ studio: Studio; fake: FakeBackend }> {
  localStorage.clear();
  const fake = createFakeBackend({ scenario, tick: 0 });
  const studio = new Studio(fake);
  await studio.start();
  return { studio, fake };
}

export function draw<Props extends Record<string, unknown>>(component: Component<Props>, studio: Studio, props: Props) {
  return render(component as Component, { props, context: new Map([[studioKey, studio]]) });
}
