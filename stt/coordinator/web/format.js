// Numbers, times and lengths as people read them.

const NUMBER = new Intl.NumberFormat("en");
const ONE_DIGIT = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const AGO = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const DATE = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const DAY = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });
const HOUR = new Intl.DateTimeFormat("en-GB", { timeStyle: "short" });
const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];
const BYTES = ["bytes", "kB", "MB", "GB", "TB"];

export const number = (value) => NUMBER.format(value);
export const oneDigit = (value) => ONE_DIGIT.format(value);
export const date = (iso) => (iso ? DATE.format(new Date(iso)) : "–");
export const day = (iso) => (iso ? DAY.format(new Date(iso)) : "–");
export const hour = (iso) => HOUR.format(new Date(iso));

/** `plural(2, "chunk")` → "2 chunks". */
export const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

/** "just now", "3 min. ago"; for times in the future "in 3 min.". */
export function ago(iso) {
  if (!iso) return "never";
  const seconds = (new Date(iso) - Date.now()) / 1_000;
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length) return AGO.format(Math.trunc(seconds / length), unit);
  }
  return Math.abs(seconds) < 10 ? "just now" : AGO.format(Math.trunc(seconds), "second");
}

/** A length in words: "45 s", "4 min 12 s", "1 h 23 min", "3 days 4 h". */
export function length(seconds) {
  if (seconds == null) return "–";
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return join(Math.floor(whole / 60), "min", whole % 60, "s");
  const minutes = Math.round(seconds / 60);
  if (minutes < 48 * 60) return join(Math.floor(minutes / 60), "h", minutes % 60, "min");
  const hours = Math.round(seconds / 3_600);
  return join(Math.floor(hours / 24), "days", hours % 24, "h");
}

const join = (large, unit, small, smallUnit) =>
  small ? `${number(large)} ${unit} ${small} ${smallUnit}` : `${number(large)} ${unit}`;

/** Audio time as a sum: "0.4 h", "1,204 h"; seconds and minutes while there is little. */
export function hours(seconds) {
  if (seconds < 600) return length(seconds);
  const value = seconds / 3_600;
  return `${value < 100 ? oneDigit(value) : number(Math.round(value))} h`;
}

/** A place in a recording: "0:07", "12:30", "1:02:03". */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 60) % 60, whole % 60];
  if (whole >= 3_600) parts.unshift(Math.floor(whole / 3_600));
  return parts.map((part, i) => (i ? String(part).padStart(2, "0") : part)).join(":");
}

export function bytes(count) {
  const power = Math.min(Math.floor(Math.log10(Math.max(count, 1)) / 3), BYTES.length - 1);
  return `${oneDigit(count / 1_000 ** power)} ${BYTES[power]}`;
}
