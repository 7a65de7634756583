import { expect, test } from "vitest";
import { quote, utf16Index } from "./spans";

const text = "Zürich 🙂 first. I like it — a lot, and more. End.";
const encoder = new TextEncoder();

function spanOf(words: string) {
  const start = encoder.encode(text.slice(0, text.indexOf(words))).length;
  return { sample: "s-1", start, end: start + encoder.encode(words).length, text: words };
}

test("byte offsets become UTF-16 offsets across accents and surrogates", () => {
  expect(utf16Index(text, spanOf("first").start), "ü has two bytes, the face four").toBe(text.indexOf("first"));
  expect(utf16Index(text, 10_000), "past the end is the end").toBe(text.length);
});

test("a span is quoted inside its own sentence", () => {
  expect(quote(text, spanOf("—"))).toEqual({ before: "I like it ", marked: "—", after: " a lot, and more." });
});

test("a span whose sample is gone or changed stands alone", () => {
  const alone = { before: "", marked: "—", after: "" };
  expect(quote(undefined, spanOf("—"))).toEqual(alone);
  expect(quote("Something else entirely, long enough to hold it.", spanOf("—"))).toEqual(alone);
});

test("long sentences are cut at words", () => {
  const long = `${"word ".repeat(60)}here${" tail".repeat(60)}.`;
  const start = long.indexOf("here");
  const cut = quote(long, { sample: "s-1", start, end: start + 4, text: "here" }, 20);
  expect(cut.before).toBe("… word word word ");
  expect(cut.after).toBe(" tail tail tail…");
});
