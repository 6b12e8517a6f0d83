// What was used, by day and model, and the same summed by day.
import { queryOptions } from "@tanstack/react-query";

import { startOf } from "../words/days";
import { api, told } from "./client";
import type { components } from "./schema";

export type Sum = components["schemas"]["Sum"];

export interface Daily {
  requests: number;
  tokens: number;
  cost: number;
}

export const usageSince = (day: string) =>
  queryOptions({
    queryKey: ["usage", day],
    queryFn: () => told(api.GET("/api/usage", { params: { query: { since: startOf(day), limit: 1 } } })),
  });

export function byDay(sums: readonly Sum[]): Map<string, Daily> {
  const found = new Map<string, Daily>();
  for (const each of sums) {
    const day = found.get(each.day) ?? { requests: 0, tokens: 0, cost: 0 };
    day.requests += each.requests;
    day.tokens += each.input_tokens + each.output_tokens;
    day.cost += Number(each.cost);
    found.set(each.day, day);
  }
  return found;
}
