/** A plain browser against the loopback bridge: requests as JSON, events as newline-delimited JSON. */
import type { FileTicket } from "../generated/bindings";
import { asUserError, EventSink, type Backend } from "./backend";
import { downloadInBrowser, onBrowserDrop, pickInBrowser } from "./browser";

export function createHttpBackend(token: string, fetcher: typeof fetch = fetch): Backend {
  const authorization = `Bearer ${token}`;

  async function upload(file: File): Promise<FileTicket> {
    const answer = await fetcher("/ticket", {
      method: "POST",
      headers: { authorization, "x-file-name": plainName(file.name) },
      body: file,
    });
    const text = await answer.text();
    if (!answer.ok) throw errorFrom(answer.status, text);
    return ticketFrom(text);
  }

  return {
    submit(request, onEvent) {
      const sink = new EventSink(onEvent);
      void (async () => {
        try {
          const answer = await fetcher("/submit", {
            method: "POST",
            headers: { authorization, "content-type": "application/json" },
            body: JSON.stringify(request),
          });
          if (!answer.ok || !answer.body) throw errorFrom(answer.status, await answer.text());
          for await (const line of lines(answer.body)) sink.push(JSON.parse(line));
          sink.close("the stream ended early");
        } catch (error) {
          sink.push({ type: "failed", error: asUserError(error) });
        }
      })();
      return sink.response;
    },
    async pickFiles() {
      return Promise.all((await pickInBrowser()).map(upload));
    },
    onDrop(callback) {
      return onBrowserDrop((files) => void Promise.all(files.map(upload)).then(callback));
    },
    // A page in a browser has no say in where programs write; the command line has.
    async pickPlace() {
      return null;
    },
    async saveFile(name, bytes) {
      return downloadInBrowser(name, bytes);
    },
  };
}

/** A ticket is answered as JSON, bare or in an object. */
function ticketFrom(text: string): FileTicket {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "string") return value;
    if (typeof value === "object" && value !== null && "ticket" in value) return String(value.ticket);
  } catch {
    // Plain text.
  }
  return text.trim();
}

/** A header holds printable ASCII only; the end of the name, which says the kind, is what matters. */
function plainName(name: string): string {
  return name.replace(/[^\x20-\x7e]/g, "_");
}

function errorFrom(status: number, body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return new Error(`the bridge answered ${status}`);
  }
}

async function* lines(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += decoder.decode(value, { stream: !done });
    const parts = rest.split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) if (part.trim()) yield part;
    if (done) break;
  }
  if (rest.trim()) yield rest;
}
