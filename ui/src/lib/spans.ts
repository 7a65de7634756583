/** Verbatim spans are byte offsets into UTF-8; the page thinks in UTF-16. This is where the two meet. */
import type { Span } from "./generated/bindings";

/** A quoted stretch with the counted words marked. */
export type Quotation = { before: string; marked: string; after: string };

/** The UTF-16 index of a UTF-8 byte offset. */
export function utf16Index(text: string, byteOffset: number): number {
  let bytes = 0;
  for (let i = 0; i < text.length; ) {
    if (bytes >= byteOffset) return i;
    const point = text.codePointAt(i) ?? 0;
    bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    i += point < 0x10000 ? 1 : 2;
  }
  return text.length;
}

/**
 * The span inside its sentence, cut to about `room` characters a side at word boundaries.
 * Without the sample's text, or where it no longer says the same, the span stands alone.
 */
export function quote(text: string | undefined, span: Span, room = 90): Quotation {
  if (text === undefined) return { before: "", marked: span.text, after: "" };
  const start = utf16Index(text, span.start);
  const end = utf16Index(text, span.end);
  if (text.slice(start, end) !== span.text) return { before: "", marked: span.text, after: "" };
  return {
    before: tidy(cutBefore(text.slice(0, start), room)),
    marked: tidy(span.text),
    after: tidy(cutAfter(text.slice(end), room)),
  };
}

function tidy(text: string): string {
  return text.replace(/\s+/g, " ");
}

function cutBefore(text: string, room: number): string {
  const sentence = text.match(/[^.!?\n]*$/)?.[0] ?? "";
  if (sentence.length <= room) return sentence.trimStart();
  return `…${sentence.slice(-room).replace(/^\S*/, "")}`;
}

function cutAfter(text: string, room: number): string {
  const sentence = text.match(/^[^.!?\n]*[.!?]?/)?.[0] ?? "";
  if (sentence.length <= room) return sentence.trimEnd();
  return `${sentence.slice(0, room).replace(/\S*$/, "").trimEnd()}…`;
}
