// The projects of one's organisation and what may be used together; both lists are short, so that they are asked for whole.
import { queryOptions } from "@tanstack/react-query";

import { api, told } from "./client";
import type { components } from "./schema";

export type Project = components["schemas"]["Project"];
export type Limits = components["schemas"]["Limits"];
export type Allowance = components["schemas"]["Allowance"];

interface Page<T> {
  rows: readonly T[];
  after: string | null | undefined;
}

async function whole<T>(page: (query: { after?: string }) => Promise<Page<T>>): Promise<T[]> {
  const found: T[] = [];
  for (let after: string | null | undefined = ""; after !== null && after !== undefined; ) {
    const next: Page<T> = await page(after ? { after } : {});
    found.push(...next.rows);
    after = next.after;
  }
  return found;
}

export const projects = queryOptions({
  queryKey: ["projects"],
  queryFn: () =>
    whole(async (query) => {
      const page = await told(api.GET("/api/projects", { params: { query } }));
      return { rows: page.projects, after: page.after };
    }),
});

export const allowances = queryOptions({
  queryKey: ["limits"],
  queryFn: () =>
    whole(async (query) => {
      const page = await told(api.GET("/api/limits", { params: { query } }));
      return { rows: page.limits, after: page.after };
    }),
});
