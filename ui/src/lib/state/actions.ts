/** Every action of the app by name, for the palette. */
import type { Theme } from "../generated/bindings";
import { viewNames, type Studio } from "./studio.svelte";

export type Action = { name: string; keys?: string; run: () => unknown };

const titles = { samples: "Samples", profile: "Profile", compare: "Compare", align: "Align", models: "Models", settings: "Settings" };
const themes: Record<Theme, string> = { system: "as the system", light: "light", dark: "dark", contrast: "high contrast" };

/** What can be done now; what cannot is left out rather than greyed. */
export function actionsOf(studio: Studio): Action[] {
  const { samples, portrait, compare, align, models } = studio;
  const actions: Action[] = viewNames.map((view, i) => ({
    name: `Go to ${titles[view]}`,
    keys: `Ctrl+${i + 1}`,
    run: () => studio.go(view),
  }));
  const add = (name: string, run: () => unknown) => actions.push({ name, run });

  add("Paste something you wrote", () => {
    studio.go("samples");
    studio.focusOn("paste");
  });
  add("Import files", () => {
    studio.go("samples");
    return samples.pick();
  });
  if (studio.profile) {
    const at = studio.profile;
    if (at.samples > 0) {
      add("Read my samples with the model", () => {
        studio.go("profile");
        return portrait.infer();
      });
      add("Search the dimensions", () => {
        studio.go("profile");
        studio.focusOn("dimensions");
      });
      add("Write the summary again", () => {
        studio.go("profile");
        return portrait.summary.regenerate();
      });
      add("Copy the system prompt of my voice", async () => {
        const voice = await portrait.export();
        if (voice) await studio.copy(voice.system_prompt, "the system prompt");
      });
      add("Save my style guide", async () => {
        const voice = await portrait.export();
        if (voice) await studio.save(`${at.name} - style guide.md`, voice.style_guide);
      });
      add("Save my voice as JSON", async () => {
        const voice = await portrait.export();
        if (voice) await studio.save(`${at.name}.json`, voice.json);
      });
    }
    add("Write a draft", () => {
      studio.go("compare");
      studio.focusOn("brief");
    });
    if (compare.brief.trim() && !compare.writing) add("Write all columns", () => { studio.go("compare"); return compare.write(); });
    if (compare.writing) add("Stop writing", () => compare.stop());
    add("Write as me", () => {
      compare.intent = "as-me";
      studio.go("compare");
    });
    add("Write for me", () => {
      compare.intent = "for-me";
      studio.go("compare");
    });
    add("Add a column", () => {
      studio.go("compare");
      compare.addColumn();
    });
    add(compare.blindOn ? "Stop comparing blind" : "Compare blind", () => {
      studio.go("compare");
      compare.setBlind(compare.blindOn ? "off" : "on");
    });
    if (align.preflight?.ready && !align.live) add("Train a voice", () => { studio.go("align"); return align.train(); });
    for (const adapter of align.adapters) {
      add(`Test “${adapter.name}” blind`, () => {
        studio.go("align");
        return align.startRetest(adapter.id);
      });
    }
    add("Rename this profile", () => (studio.profileDialog = "rename"));
    add("Delete this profile", () => (studio.profileDialog = "delete"));
  }
  add("New profile", () => (studio.profileDialog = "new"));
  for (const profile of studio.profiles) {
    if (profile.id !== studio.profileId) add(`Switch to “${profile.name}”`, () => studio.switchTo(profile.id));
  }
  for (const model of models.list) {
    if (model.state === "available" || model.state === "partial") {
      if (!model.supported) continue;
      add(`Fetch ${model.name}`, () => {
        studio.go("models");
        if (!model.licence_gate) return models.pull(model.id, "not_asked");
        return undefined;
      });
    } else if (model.role === "writer" && !model.in_use && model.state !== "broken") {
      add(`Use ${model.name}`, () => models.use(model.id));
    }
  }
  add("Import a model file", () => {
    studio.go("models");
    return models.importPicked();
  });
  for (const theme of Object.keys(themes) as Theme[]) {
    if (studio.settings?.theme !== theme) add(`Theme: ${themes[theme]}`, () => studio.setSettings({ theme }));
  }
  if (studio.settings) {
    const less = studio.settings.reduce_motion;
    add(less ? "Allow motion" : "Reduce motion", () => studio.setSettings({ reduce_motion: !less }));
  }
  for (const job of studio.jobs.running) {
    if (job.id !== null) add(`Stop: ${job.label}`, () => studio.endJob(job));
  }
  for (const dimension of studio.profile ? (studio.status?.dimensions ?? []) : []) {
    if (dimension.sensitive && !studio.profile?.sensitive) continue;
    add(`Set dimension: ${dimension.name}`, () => {
      studio.go("profile");
      portrait.search = dimension.name;
      studio.focusOn("dimensions");
    });
  }
  return actions;
}

/** Actions whose name has every word that was typed, those that begin with it first. */
export function matching(actions: Action[], query: string): Action[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  // The 90 dimensions would bury everything else, so they show only once something is typed.
  if (words.length === 0) return actions.filter((a) => !a.name.startsWith("Set dimension"));
  const first = words.join(" ");
  return actions
    .filter((action) => words.every((word) => action.name.toLowerCase().includes(word)))
    .sort((a, b) => Number(b.name.toLowerCase().startsWith(first)) - Number(a.name.toLowerCase().startsWith(first)));
}
