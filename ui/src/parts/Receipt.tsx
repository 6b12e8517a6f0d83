// One request in full: what was said, where it was kept, and why it was stored as it was.
import { Button, Group } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { api, told } from "../api/client";
import { useNames } from "../api/me";
import type { Request } from "../screens/Requests";
import { moment } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { Countdown } from "./Countdown";
import { Loaded, Problem } from "./Page";

interface Said {
  request?: unknown;
  response?: unknown;
  [name: string]: unknown;
}

const HIDDEN = ["id", "at", "expires_at"];

export function Receipt({ of: row, gone }: { of: Request; gone: () => void }) {
  useLanguage();
  const queries = useQueryClient();
  const name = useNames();
  const path = { params: { path: { request_id: row.id } } };
  const why = useQuery({ queryKey: ["request", row.id, "policy"], queryFn: () => told(api.GET("/api/requests/{request_id}/policy", path)) });
  const said = useQuery({
    queryKey: ["request", row.id],
    queryFn: async () => (await told(api.GET("/api/requests/{request_id}", path))) as Said,
    enabled: row.stored,
  });
  const end = useMutation({
    mutationFn: () => told(api.DELETE("/api/requests/{request_id}", path)),
    onSuccess: async () => {
      gone();
      await queries.invalidateQueries();
    },
  });
  return (
    <div className="stack">
      <dl className="facts">
        <dt>{t("Request")}</dt>
        <dd>
          <code>{row.id}</code>
        </dd>
        <dt>{t("Time")}</dt>
        <dd>{moment(row.at)}</dd>
        <dt>{t("Model")}</dt>
        <dd>{row.model}</dd>
        <dt>{t("Content")}</dt>
        <dd>{row.stored ? <Countdown until={row.expires_at} /> : t("Nothing of what was said was kept.")}</dd>
      </dl>
      {row.stored && (
        <Loaded of={said}>
          {(found) => (
            <>
              {Object.entries(found)
                .filter(([field]) => !HIDDEN.includes(field))
                .map(([field, value]) => (
                  <details key={field} className="more">
                    <summary>{name("field", field)}</summary>
                    <pre className="said" tabIndex={0} role="region" aria-label={name("field", field)} dir="auto">
                      {typeof value === "string" ? value : JSON.stringify(value, null, 2)}
                    </pre>
                  </details>
                ))}
            </>
          )}
        </Loaded>
      )}
      <h3>{t("Why it was stored so")}</h3>
      <Loaded of={why}>
        {(found) => (
          <div className="scroll" tabIndex={0} role="region" aria-label={t("Why it was stored so")}>
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">{t("Rule")}</th>
                  <th scope="col">{t("Value")}</th>
                  <th scope="col">{t("Set by")}</th>
                </tr>
              </thead>
              <tbody>
                {found.lines.map((line) => (
                  <tr key={line.name}>
                    <td>{line.clause ? <a href={`/privacy#${line.clause}`}>{label(line.name, name)}</a> : label(line.name, name)}</td>
                    <td>{line.value}</td>
                    <td>{LEVELS[line.level]?.() ?? line.level}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Loaded>
      <Problem error={end.error} />
      {row.stored && (
        <Group justify="flex-end">
          <Button className="danger" loading={end.isPending} disabled={end.isPending} onClick={() => end.mutate()}>
            {t("Delete its content now")}
          </Button>
        </Group>
      )}
    </div>
  );
}

const LEVELS: Record<string, () => string> = {
  platform: () => t("the policy"),
  tenant: () => t("your organisation"),
  project: () => t("the project"),
  key: () => t("the key"),
  request: () => t("the request itself"),
};

function label(rule: string, name: ReturnType<typeof useNames>): string {
  const [word, category] = rule.split(" ");
  return word === "keep" && category ? name("category", category) : rule;
}
