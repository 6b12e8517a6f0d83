// What somebody is to know before anything else: a change of the policy, and a version that waits to be accepted.
import { Button } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";

import { api, told } from "../api/client";
import { t, useLanguage } from "../words/language";
import { day } from "../words/figures";
import { useOnce } from "./once";
import { Problem } from "./Page";

export function Notices() {
  useLanguage();
  const queries = useQueryClient();
  const waiting = useQuery({ queryKey: ["notices"], queryFn: () => told(api.GET("/api/me/notices")), staleTime: 60_000 });
  const acceptance = useQuery({ queryKey: ["acceptance"], queryFn: () => told(api.GET("/api/me/acceptance")), staleTime: 60_000 });
  const dismiss = useOnce({
    mutationFn: (id: string) => told(api.POST("/api/me/notices/{id}/dismiss", { params: { path: { id } } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["notices"] }),
  });
  const accept = useOnce({
    mutationFn: (version: number) => told(api.POST("/api/me/acceptance", { body: { version } })),
    onSuccess: () => queries.invalidateQueries(),
  });
  const asked = acceptance.data;
  const mustAccept = asked?.asked != null && asked.how === "explicit" && asked.accepted < asked.asked ? asked.asked : null;
  return (
    <>
      {mustAccept !== null && (
        <aside className="notice" aria-label={t("Policy")}>
          <p>
            {t("Version {number} of the privacy policy waits for you. Read it, then accept it to go on.", { number: mustAccept })}{" "}
            <a href={asked?.page}>{t("Read it")}</a>
          </p>
          <Button size="xs" loading={accept.isPending} onClick={() => accept.run(mustAccept)}>
            {t("I agree")}
          </Button>
        </aside>
      )}
      {waiting.data?.map((notice) => (
        <aside className="notice" key={notice.id} aria-label={t("Policy")}>
          <p>
            {notice.in_force
              ? t("The privacy policy has changed: version {number}, since {day}.", { number: notice.version, day: day(notice.effective_at) })
              : t("The privacy policy changes on {day}: version {number}.", { number: notice.version, day: day(notice.effective_at) })}{" "}
            <a href={`/privacy/changes#version-${notice.version}`}>{t("See what changes")}</a>
          </p>
          <Button size="xs" variant="default" disabled={dismiss.isPending} onClick={() => dismiss.run(notice.id)}>
            {t("Dismiss")}
          </Button>
        </aside>
      ))}
      <Problem error={dismiss.error ?? accept.error} />
    </>
  );
}
