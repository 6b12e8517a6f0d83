// One's own requests, page by page. What is known of them stays when one of them changes: after scrolling through ten
// thousand, nobody waits until a hundred pages are asked for again.
import { type InfiniteData, type QueryClient, infiniteQueryOptions } from "@tanstack/react-query";

import { api, told } from "./client";
import type { components } from "./schema";

export type Request = components["schemas"]["ListedRequest"];
type Page = components["schemas"]["RequestPage"];

const KEY = ["requests"];
const PAGES_ASKED_AGAIN_MAX = 3;

export const requests = infiniteQueryOptions({
  queryKey: KEY,
  queryFn: ({ pageParam }) => told(api.GET("/api/requests", { params: { query: pageParam ? { after: pageParam } : {} } })),
  initialPageParam: null as string | null,
  getNextPageParam: (last: Page) => last.after,
  refetchOnWindowFocus: (query) => (query.state.data?.pages.length ?? 0) <= PAGES_ASKED_AGAIN_MAX,
});

/** Shows one request as it is once its content was deleted; all else that shows something of it is asked for anew. */
export function forgetContent(queries: QueryClient, id: string): void {
  queries.setQueryData<InfiniteData<Page, string | null>>(KEY, (known) =>
    known && {
      ...known,
      pages: known.pages.map((page) => ({ ...page, requests: page.requests.map((row) => (row.id === id ? { ...row, stored: false, expires_at: null } : row)) })),
    },
  );
  queries.removeQueries({ queryKey: ["request", id] });
  void queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== KEY[0] });
}

/** After many were deleted: from the first page anew. */
export async function forgetContents(queries: QueryClient): Promise<void> {
  queries.removeQueries({ queryKey: ["request"] });
  await queries.resetQueries({ queryKey: KEY });
  void queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== KEY[0] });
}
