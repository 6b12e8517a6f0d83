// Signing in with the identity provider that the operator has set up, and linking one's account with it.
import { Button } from "@mantine/core";
import { queryOptions, useQuery, useQueryClient } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";

import { Refusal, api, told } from "../api/client";
import { day } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { useOnce } from "./once";
import { Problem, Section } from "./Page";
import { Row, Rows } from "./Rows";

const provider = queryOptions({
  queryKey: ["provider"],
  queryFn: async () => (await told(api.GET("/api/auth/provider"))).name ?? null,
  staleTime: Infinity,
});

/** The button on the way in; nothing where no provider is set up. */
export function WithProvider() {
  const name = useQuery(provider).data;
  if (!name) return null;
  return (
    <Button component="a" href="/api/auth/provider/start" variant="default" size="md" fullWidth>
      {t("Sign in with {name}", { name })}
    </Button>
  );
}

/** Why the provider's answer was refused, where the platform sends a browser on with its reason. */
export function useRefused(): Refusal | null {
  const { refused } = useSearch({ strict: false }) as { refused?: unknown };
  return typeof refused === "string" ? new Refusal(0, refused, "") : null;
}

export function Identities() {
  useLanguage();
  const queries = useQueryClient();
  const name = useQuery(provider).data;
  const refused = useRefused();
  const found = useQuery({
    queryKey: ["identities"],
    queryFn: async () => (await told(api.GET("/api/me/identities"))) as unknown as { id: string; issuer: string; since: string }[],
    enabled: name != null,
  });
  const link = useOnce({
    mutationFn: async () => location.assign(((await told(api.POST("/api/me/identities"))) as { url: string }).url),
  });
  const unlink = useOnce({
    mutationFn: (id: string) => told(api.DELETE("/api/me/identities/{identity_id}", { params: { path: { identity_id: id } } })),
    onSettled: () => queries.invalidateQueries({ queryKey: ["identities"] }),
  });
  if (!name) return null;
  return (
    <Section title={t("Sign-in elsewhere")} note={t("Who you are at {name} lets you in here. Kept of it is your number there, sealed, and nothing else.", { name })}>
      <Rows
        of={found}
        lines={1}
        row={(each) => (
          <Row
            key={each.id}
            title={each.issuer}
            note={t("linked {day}", { day: day(each.since) })}
            end={
              <Button variant="default" size="xs" disabled={unlink.isPending} onClick={() => unlink.run(each.id)}>
                {t("Unlink")}
              </Button>
            }
          />
        )}
      />
      <div>
        <Button variant="default" loading={link.isPending} onClick={() => link.run()}>
          {t("Link with {name}", { name })}
        </Button>
      </div>
      <Problem error={link.error ?? unlink.error ?? refused} />
    </Section>
  );
}
