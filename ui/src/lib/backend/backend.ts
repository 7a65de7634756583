/**
 * The one door between the page and Rust. Everything the window can do goes through `submit`;
 * files are only ever named by tickets that Rust made, and are only ever written by Rust.
 */
import type { Event, FileTicket, Request, Response, UserError } from "../generated/bindings";

export interface Backend {
  /** Sends a request. `onEvent` hears everything before its end. Rejects with a `UserError`. */
  submit(request: Request, onEvent: (event: Event) => void): Promise<Response>;
  /** Lets the person pick files; empty when they changed their mind. */
  pickFiles(): Promise<FileTicket[]>;
  /** Lets the person choose where something is to be written; null when they changed their mind. */
  pickPlace(name: string): Promise<FileTicket | null>;
  /** Calls back with tickets whenever files are dropped on the window. Returns how to stop listening. */
  onDrop(callback: (files: FileTicket[]) => void): () => void;
  /** Lets the person choose where to save; false when they changed their mind. */
  saveFile(name: string, bytes: Uint8Array): Promise<boolean>;
}

/** Whether a caught value is an error as Rust words them. */
export function isUserError(value: unknown): value is UserError {
  return typeof value === "object" && value !== null && "code" in value && "message" in value && "hint" in value;
}

/** Turns anything thrown into the shape that notices show. */
export function asUserError(value: unknown): UserError {
  if (isUserError(value)) return value;
  const message = value instanceof Error ? value.message : String(value);
  return {
    code: "internal",
    message: `The window could not finish this: ${message}`,
    hint: "Try again. What you had saved is safe.",
  };
}

/**
 * Feeds a stream of events to `onEvent` and settles at its end.
 * Both transports deliver plain events; only here is their end told from their middle.
 */
export class EventSink {
  readonly response: Promise<Response>;
  #resolve!: (response: Response) => void;
  #reject!: (error: UserError) => void;
  #ended = false;

  constructor(private readonly onEvent: (event: Event) => void) {
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  push(event: Event): void {
    if (this.#ended) return;
    if (event.type === "done") {
      this.#ended = true;
      this.#resolve(event.response);
    } else if (event.type === "failed") {
      this.#ended = true;
      this.#reject(event.error);
    } else {
      this.onEvent(event);
    }
  }

  /** The transport closed. Without a `done` or `failed` before it, that is a failure of its own. */
  close(why: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#reject({
      code: "internal",
      message: `The studio stopped answering: ${why}`,
      hint: "Try again. What you had saved is safe.",
    });
  }
}
