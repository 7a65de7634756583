import { expect, test } from "vitest";
import type { Event } from "../generated/bindings";
import { createHttpBackend } from "./http";

/** Answers with these pieces, cut wherever a network might cut them. */
function answering(pieces: string[], seen: Request[] = [], status = 200): typeof fetch {
  return async (input, init) => {
    seen.push(new Request(new URL(String(input), "http://127.0.0.1"), init));
    const encoder = new TextEncoder();
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const piece of pieces) controller.enqueue(encoder.encode(piece));
        controller.close();
      },
    });
    return new Response(body, { status });
  };
}

test("a stream cut in the middle of a line is put together, and ends with its answer", async () => {
  const seen: Request[] = [];
  const events: Event[] = [];
  const backend = createHttpBackend(
    "secret",
    answering(['{"type":"column_text","col', 'umn":0,"text":"Hi"}\n{"type":"done","response":', '{"type":"ok"}}\n'], seen),
  );
  const response = await backend.submit({ type: "status" }, (event) => events.push(event));
  expect(response).toEqual({ type: "ok" });
  expect(events).toEqual([{ type: "column_text", column: 0, text: "Hi" }]);
  expect(seen[0]?.headers.get("authorization"), "every request carries the token").toBe("Bearer secret");
  expect(await seen[0]?.json()).toEqual({ type: "status" });
});

test("a failure rejects with the error as Rust worded it", async () => {
  const error = { code: "model_missing", message: "No model is installed.", hint: "Fetch one." };
  const backend = createHttpBackend("t", answering([`${JSON.stringify({ type: "failed", error })}\n`]));
  await expect(backend.submit({ type: "status" }, () => {})).rejects.toEqual(error);
});

test("a stream that ends without an answer, and a refusal, are failures with a hint", async () => {
  const cut = createHttpBackend("t", answering(['{"type":"stage","name":"a","text":"b"}\n']));
  await expect(cut.submit({ type: "status" }, () => {})).rejects.toMatchObject({ code: "internal", hint: /./ });
  const refused = createHttpBackend("t", answering(["no"], [], 401));
  await expect(refused.submit({ type: "status" }, () => {})).rejects.toMatchObject({ message: /401/ });
});
