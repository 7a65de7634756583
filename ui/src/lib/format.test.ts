import { expect, test } from "vitest";
import { bitsPerToken, bytes, duration, figure, language, percent, plural, signed, wordCount } from "./format";

test("figures keep the digits that carry meaning", () => {
  expect([21.4, 3.24, 1, 0.456, 0, 1234.5].map(figure)).toEqual(["21", "3.2", "1", "0.46", "0", "1,235"]);
});

test("a signed figure has a real minus and no sign at zero", () => {
  expect([0.42, -0.42, -0.001].map((x) => signed(x))).toEqual(["+0.42", "−0.42", "0"]);
});

test("sizes, times and shares are in words", () => {
  expect([999, 98_362_432, 2_019_377_696].map(bytes)).toEqual(["999 bytes", "98 MB", "2 GB"]);
  expect([0.4, 8.2, 100, 4800, 7200].map(duration)).toEqual(["under 1 s", "8 s", "2 min", "80 min", "2 h"]);
  expect([3.41, 3.38].map(bitsPerToken), "a small change still shows").toEqual(["4.92 bits a token", "4.88 bits a token"]);
  expect(percent(0.684)).toBe("68 %");
  expect([plural(1, "vote"), plural(1200, "vote"), plural(2, "reply", "replies")]).toEqual(["1 vote", "1,200 votes", "2 replies"]);
});

test("languages have names, and an unknown one says so", () => {
  expect([language("de"), language("und"), language("not a code")]).toEqual(["German", "language unclear", "not a code"]);
});

test("words are counted as a person counts them", () => {
  expect(wordCount("So — back by six, don't wait.")).toBe(6);
});
