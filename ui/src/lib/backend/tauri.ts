/** The desktop window: one command with a channel, dialogs and drops handled in Rust. */
import { Channel, invoke } from "@tauri-apps/api/core";
import { listen } from "@tauri-apps/api/event";
import type { Event, FileTicket } from "../generated/bindings";
import { asUserError, EventSink, type Backend } from "./backend";

export function createTauriBackend(): Backend {
  return {
    submit(request, onEvent) {
      const sink = new EventSink(onEvent);
      const channel = new Channel<Event>();
      channel.onmessage = (event) => sink.push(event);
      // The command returns before its stream ends; only a refusal to start rejects here.
      invoke("submit", { request, channel }).catch((error: unknown) => {
        sink.push({ type: "failed", error: asUserError(error) });
      });
      return sink.response;
    },
    pickFiles: () => invoke<FileTicket[]>("pick_files"),
    onDrop(callback) {
      let stopped = false;
      let stop: (() => void) | undefined;
      void listen<FileTicket[]>("files-dropped", (event) => callback(event.payload)).then((unlisten) => {
        if (stopped) unlisten();
        else stop = unlisten;
      });
      return () => {
        stopped = true;
        stop?.();
      };
    },
    pickPlace: (name) => invoke<FileTicket | null>("pick_place", { name }),
    saveFile: (name, bytes) => invoke<boolean>("save_file", { name, bytes: Array.from(bytes) }),
  };
}
