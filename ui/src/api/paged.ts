// Lists that come in pages: each page is asked for from where the page before ended.
import { type QueryKey, type UseInfiniteQueryOptions, useInfiniteQuery } from "@tanstack/react-query";

/** The way to the next page. `error`: why it did not come. */
export interface More {
  isThere: boolean;
  isComing: boolean;
  error: unknown;
  ask: () => void;
}

/** The rows that are there so far (undefined: none was told yet), and the way to more of them. */
export interface Listed<R> {
  data: readonly R[] | undefined;
  error: unknown;
  refetch: () => unknown;
  more?: More;
}

interface Question<P, R, C> {
  key: QueryKey;
  /** Asks for the page that begins behind `after`; null: the first. */
  page: (after: C | null) => Promise<P>;
  rows: (page: P) => readonly R[];
  /** Where a page ends, as the next is asked for; null: there is no next. */
  end: (page: P) => C | null | undefined;
  options?: Pick<UseInfiniteQueryOptions, "enabled" | "refetchOnReconnect" | "refetchOnWindowFocus" | "staleTime"> & { refetchInterval?: number };
}

/** A paged list, with its first page for what that says beside its rows. */
export function usePaged<P, R, C>({ key, page, rows, end, options }: Question<P, R, C>) {
  const found = useInfiniteQuery({
    ...(options as object),
    queryKey: key,
    queryFn: ({ pageParam }) => page(pageParam as C | null),
    initialPageParam: null as C | null,
    getNextPageParam: end,
  });
  const more: More = {
    isThere: found.hasNextPage,
    isComing: found.isFetchingNextPage,
    error: found.isFetchNextPageError ? found.error : null,
    ask: () => void found.fetchNextPage(),
  };
  const { error, refetch, isFetching } = found;
  return { data: found.data?.pages.flatMap(rows), first: found.data?.pages[0], error, refetch, isFetching, more };
}
