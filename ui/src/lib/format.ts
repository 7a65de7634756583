/** Numbers, dates and sizes in plain words. */

const grouped = new Intl.NumberFormat("en");

/** `1,234`. */
export function count(n: number): string {
  return grouped.format(Math.round(n));
}

/** `1 word`, `1,234 words`. */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${Math.round(n) === 1 ? one : many}`;
}

/** A figure with as many digits as carry meaning: 14, 3.2, 0.45. */
export function figure(x: number): string {
  const size = Math.abs(x);
  if (size >= 100) return count(x);
  if (size >= 10) return x.toFixed(0);
  if (size >= 1) return x.toFixed(1).replace(/\.0$/, "");
  return x.toFixed(2).replace(/0$/, "").replace(/\.0$/, "");
}

/** `+0.42`, `−0.42`, `0`: a real minus sign, and never a bare sign for zero. */
export function signed(x: number, digits = 2): string {
  const text = Math.abs(x).toFixed(digits);
  if (Number(text) === 0) return "0";
  return `${x > 0 ? "+" : "−"}${text}`;
}

/** `98 MB`, `2.4 GB` (decimal, as downloads are named). */
export function bytes(n: number): string {
  if (n < 1000) return `${n} bytes`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = n;
  let unit = -1;
  do {
    value /= 1000;
    unit += 1;
  } while (value >= 999.5 && unit < units.length - 1);
  return `${value < 10 ? value.toFixed(1).replace(/\.0$/, "") : value.toFixed(0)} ${units[unit]}`;
}

/** `8 s`, `3 min`, `1 h 20 min`: rounded to what a person plans with. */
export function duration(seconds: number): string {
  if (seconds < 1) return "under 1 s";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const rest = minutes % 60;
  return rest === 0 ? `${minutes / 60} h` : `${Math.floor(minutes / 60)} h ${rest} min`;
}

/** A loss in nats as a person reads it: `4.87 bits a token`. Two digits, since a voice changes the second first. */
export function bitsPerToken(nats: number): string {
  return `${(nats / Math.LN2).toFixed(2)} bits a token`;
}

/** `21 Nov 2026`. */
export function date(rfc3339: string): string {
  const when = new Date(rfc3339);
  if (Number.isNaN(when.getTime())) return rfc3339;
  return new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" }).format(when);
}

/** `62 %`. */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

const languageNames = new Intl.DisplayNames(["en"], { type: "language", fallback: "code" });

/** `English`, or a plain word where the text is too short to tell. */
export function language(code: string): string {
  if (code === "und" || code === "") return "language unclear";
  try {
    return languageNames.of(code) ?? code;
  } catch {
    return code;
  }
}

/** The first line of a text that says something. */
export function firstLine(text: string): string {
  return text.split("\n").map((line) => line.trim()).find((line) => line.length > 0) ?? "";
}

/** How many words a text has, as a person counts them. */
export function wordCount(text: string): number {
  return text.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word)).length;
}
