// Days as the platform counts them, in UTC.
const DAY_MS = 86_400_000;

/** The last `count` days until today, oldest first, as `2026-11-22`. */
export function lastDays(count: number, now = new Date()): string[] {
  return Array.from({ length: count }, (_, place) => new Date(now.getTime() - (count - 1 - place) * DAY_MS).toISOString().slice(0, 10));
}

/** The beginning of a day in UTC. */
export function startOf(day: string): string {
  return `${day}T00:00:00Z`;
}
