// Who is signed in, and what else every screen asks for.
import { queryOptions, useQuery, useQueryClient } from "@tanstack/react-query";

import { spoken, useLanguage } from "../words/language";
import { api, signedIn, told } from "./client";
import type { paths } from "./schema";
import { tellTabs } from "./tabs";

export const me = queryOptions({
  queryKey: ["me"],
  queryFn: async () => {
    const found = await told(api.GET("/api/me"));
    signedIn(true);
    tellTabs({ what: "entered", id: found.id });
    return found;
  },
  retry: false,
  staleTime: 60_000,
});

export function useMe() {
  const found = useQuery(me).data;
  if (!found) throw new Error("nobody is signed in");
  return found;
}

type Called<P> = { [M in keyof P]: P[M] extends undefined ? never : M }[keyof P] & string;

/** A route as the platform's table of permissions names it. */
export type Route = { [P in keyof paths & string]: `${Uppercase<Exclude<Called<paths[P]>, "parameters">>} ${P}` }[keyof paths & string];

/** Whether somebody may call a route that is not everybody's: the platform says so, and spares them what it would refuse. */
export function useMay(): (route: Route) => boolean {
  const { may } = useMe();
  return (route) => may.includes(route);
}

/** Ends the session here and on the server, and forgets all that was shown. */
export function useSignOut(): () => Promise<void> {
  const queries = useQueryClient();
  return async () => {
    await api.POST("/api/auth/logout");
    signedIn(false);
    tellTabs({ what: "left" });
    sessionStorage.clear();
    queries.clear();
  };
}

export const wallet = queryOptions({ queryKey: ["wallet"], queryFn: () => told(api.GET("/api/wallet")) });

/** The currency in which one's organisation pays. */
export function useCurrency(): string {
  return useQuery(wallet).data?.currency ?? "USD";
}

const words = (language: "en" | "zh") =>
  queryOptions({
    queryKey: ["words", language],
    queryFn: () => told(api.GET("/api/words", { params: { query: { locale: language } } })),
    staleTime: Infinity,
  });

type Kind = "consent" | "category" | "purpose" | "field" | "probe" | "verdict" | "role";

/** What the platform calls things: `name("category", "usage")`. */
export function useNames(): (kind: Kind, id: string) => string {
  const known = useQuery(words(useLanguage())).data;
  return (kind, id) => capital(known?.[`${kind}_${id}`] ?? id.replaceAll("_", " "));
}

/** All that the platform names of a kind, as the choices of a field. */
export function useChoices(kind: Kind): { value: string; label: string }[] {
  const known = useQuery(words(useLanguage())).data ?? {};
  const begin = `${kind}_`;
  const found = Object.entries(known).filter(([id]) => id.startsWith(begin));
  return found.map(([id, said]) => ({ value: id.slice(begin.length), label: capital(said) })).toSorted((one, other) => one.label.localeCompare(other.label));
}

function capital(text: string): string {
  return spoken() === "en" ? text.charAt(0).toUpperCase() + text.slice(1) : text;
}
