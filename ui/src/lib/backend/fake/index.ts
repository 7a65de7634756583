/**
 * A studio that pretends, for design work and for tests of the page alone. Deterministic: no clock, no randomness.
 * Never part of a release: only `chooseBackend` in design and development builds, and the tests, import it.
 */
import type { Event, FileTicket, Request, Response, UserError } from "../../generated/bindings";
import type { Backend } from "../backend";
import { FakeStudio, type Scenario } from "./studio";

export type FakeOptions = { scenario?: string; tick?: number };

export type FakeBackend = Backend & {
  /** Everything that was asked, in order. */
  asked: Request[];
  /** What `pickFiles` hands back next. */
  picked: FileTicket[];
  /** Pretends that files were dropped. */
  drop(files: FileTicket[]): void;
  /** What was saved: name and text. */
  saved: [string, string][];
  /** Answers the next request of this type with a failure. */
  failNext(type: Request["type"], error: UserError): void;
  /** Holds the answer to the next request of this type back until the returned function is called. */
  holdNext(type: Request["type"]): () => void;
  studio: FakeStudio;
};

const scenarios: Scenario[] = ["letters", "empty", "thousand", "short", "nomodel"];

export function createFakeBackend(options: FakeOptions = {}): FakeBackend {
  const scenario = scenarios.find((s) => s === options.scenario) ?? "letters";
  const studio = new FakeStudio(scenario, options.tick ?? 0);
  const failures = new Map<string, UserError>();
  const held = new Map<string, Promise<void>>();
  const droppers = new Set<(files: FileTicket[]) => void>();
  const fake: FakeBackend = {
    asked: [],
    picked: ["t-mailbox"],
    saved: [],
    studio,
    async submit(request: Request, onEvent: (event: Event) => void): Promise<Response> {
      fake.asked.push(request);
      const failure = failures.get(request.type);
      failures.delete(request.type);
      const hold = held.get(request.type);
      held.delete(request.type);
      if (failure) {
        await hold;
        throw failure;
      }
      // A copy crosses over, as it would through JSON.
      const answer = await studio.answer(structuredClone(request), onEvent);
      await hold;
      return structuredClone(answer);
    },
    pickFiles: async () => fake.picked,
    onDrop(callback) {
      droppers.add(callback);
      return () => droppers.delete(callback);
    },
    drop(files) {
      for (const callback of droppers) callback(files);
    },
    async pickPlace(name) {
      return `place-${name}`;
    },
    async saveFile(name, bytes) {
      fake.saved.push([name, new TextDecoder().decode(bytes)]);
      return true;
    },
    failNext: (type, error) => void failures.set(type, error),
    holdNext(type) {
      let release = () => {};
      held.set(type, new Promise((resolve) => (release = resolve)));
      return () => release();
    },
  };
  return fake;
}
