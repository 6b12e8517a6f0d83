// Money, numbers and times as people of the current language write them.
import { spoken, t } from "./language";

const PLACES = { en: "en", zh: "zh-Hans-CN" } as const;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MONTH = 30.44 * DAY;
const YEAR = 365.25 * DAY;
const CENT = 0.01;

const place = () => PLACES[spoken()];

/** What writes figures or times, made once for each language: making one takes longer than writing a thousand. */
function once<T>(make: (place: string) => T): () => T {
  const made = new Map<string, T>();
  return () => {
    const known = made.get(place()) ?? make(place());
    made.set(place(), known);
    return known;
  };
}

const numbers = once((at) => new Intl.NumberFormat(at));
const days = once((at) => new Intl.DateTimeFormat(at, { dateStyle: "medium" }));
const moments = once((at) => new Intl.DateTimeFormat(at, { dateStyle: "medium", timeStyle: "short" }));
const distances = once((at) => new Intl.RelativeTimeFormat(at, { numeric: "auto" }));
const DIGITS = { cents: { maximumFractionDigits: 2 }, small: { maximumSignificantDigits: 4 }, exact: { maximumFractionDigits: 9 } };
const amounts = once((at) => {
  const made = new Map<string, Intl.NumberFormat>();
  return (currency: string, digits: keyof typeof DIGITS) => {
    const known = made.get(`${currency}${digits}`) ?? new Intl.NumberFormat(at, { style: "currency", currency, ...DIGITS[digits] });
    made.set(`${currency}${digits}`, known);
    return known;
  };
});

/** An amount of the API (a decimal text): two places, or as many digits as a small one needs to be seen. */
export function money(amount: string, currency: string): string {
  const value = Number(amount);
  const isSmall = value !== 0 && Math.abs(value) < CENT;
  return amounts()(currency, isSmall ? "small" : "cents").format(value);
}

/** What something costs: every digit that a price can have. */
export function rate(value: number, currency: string): string {
  return amounts()(currency, "exact").format(value);
}

export function number(value: number): string {
  return numbers().format(value);
}

/** How many records there are. */
export function records(count: number): string {
  return count === 1 ? t("1 record") : t("{count} records", { count: number(count) });
}

export function day(at: string | Date): string {
  return days().format(new Date(at));
}

export function moment(at: string | Date): string {
  return moments().format(new Date(at));
}

/** How far off a time is: “in 5 days”, “3 minutes ago”. */
export function away(at: string | Date, now = Date.now()): string {
  const left = new Date(at).getTime() - now;
  const said = distances();
  const size = Math.abs(left);
  if (size >= 2 * YEAR) return said.format(Math.round(left / YEAR), "year");
  if (size >= 3 * MONTH) return said.format(Math.round(left / MONTH), "month");
  if (size >= 2 * DAY) return said.format(Math.round(left / DAY), "day");
  if (size >= 2 * HOUR) return said.format(Math.round(left / HOUR), "hour");
  return said.format(Math.round(left / MINUTE), "minute");
}

/** What is left until a time, as a countdown says it: “29 d 4 h”, “3 h 12 min”, “4 min”. */
export function left(at: string | Date, now = Date.now()): string {
  const span = Math.max(0, new Date(at).getTime() - now);
  const [days, hours, minutes] = [Math.floor(span / DAY), Math.floor((span % DAY) / HOUR), Math.floor((span % HOUR) / MINUTE)];
  if (days) return t("{days} d {hours} h", { days, hours });
  if (hours) return t("{hours} h {minutes} min", { hours, minutes });
  return minutes ? t("{minutes} min", { minutes }) : t("less than a minute");
}

const UNITS: Record<string, (amount: number) => string> = {
  hours: (amount) => t("{amount} hours", { amount }),
  days: (amount) => t("{amount} days", { amount }),
  months: (amount) => t("{amount} months", { amount }),
  years: (amount) => t("{amount} years", { amount }),
};

const ONE: typeof UNITS = {
  hours: () => t("1 hour"),
  days: () => t("1 day"),
  months: () => t("1 month"),
  years: () => t("1 year"),
};

/** A period of the policy. */
export function period(amount: number, unit: string): string {
  return (amount === 1 ? ONE : UNITS)[unit]?.(amount) ?? `${amount} ${unit}`;
}
