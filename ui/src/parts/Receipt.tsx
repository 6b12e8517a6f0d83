// One request in full: what was said, where it was kept, and why it was stored as it was.
import { Button, Group } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";

import { api, told } from "../api/client";
import { useNames } from "../api/me";
import { type Request, forgetContent } from "../api/requests";
import type { components } from "../api/schema";
import { moment } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { Countdown } from "./Countdown";
import { useLeave } from "./Dialog";
import { useOnce } from "./once";
import { Loaded, Problem } from "./Page";

const SAID = ["request", "response"] as const;
const LEVELS: Record<components["schemas"]["policy_explain_Line"]["level"], () => string> = {
  platform: () => t("the policy"),
  tenant: () => t("your organisation"),
  project: () => t("the project"),
  key: () => t("the key"),
  request: () => t("the request itself"),
};

export function Receipt({ of: row }: { of: Request }) {
  useLanguage();
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
      {row.stored && <Said id={row.id} />}
      <Why id={row.id} />
      {row.stored && <End id={row.id} />}
    </div>
  );
}

/** What was asked and answered, opened for its owner, each field folded. */
function Said({ id }: { id: string }) {
  const name = useNames();
  const found = useQuery({
    queryKey: ["request", id],
    queryFn: () => told(api.GET("/api/requests/{request_id}", { params: { path: { request_id: id } } })),
  });
  return (
    <Loaded of={found}>
      {(said) =>
        said.stored ? (
          <>
            {SAID.filter((field) => field in said).map((field) => (
              <details key={field} className="more">
                <summary>{name("field", field)}</summary>
                <pre className="said" tabIndex={0} role="region" aria-label={name("field", field)} dir="auto">
                  {typeof said[field] === "string" ? said[field] : JSON.stringify(said[field], null, 2)}
                </pre>
              </details>
            ))}
          </>
        ) : (
          <p>{t("This is not there, or not any more.")}</p>
        )
      }
    </Loaded>
  );
}

/** Each rule that decided, its value, and who set it; a rule of the policy leads to its sentence there. */
function Why({ id }: { id: string }) {
  const name = useNames();
  const found = useQuery({
    queryKey: ["request", id, "policy"],
    queryFn: () => told(api.GET("/api/requests/{request_id}/policy", { params: { path: { request_id: id } } })),
  });
  const rule = (line: string) => (line.startsWith("keep ") ? name("category", line.slice("keep ".length)) : line);
  return (
    <>
      <h3>{t("Why it was stored so")}</h3>
      <Loaded of={found}>
        {({ lines }) => (
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
                {lines.map((line) => (
                  <tr key={line.name}>
                    <td>{line.clause ? <a href={`/privacy#${line.clause}`}>{rule(line.name)}</a> : rule(line.name)}</td>
                    <td>{line.value}</td>
                    <td>{LEVELS[line.level]()}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Loaded>
    </>
  );
}

function End({ id }: { id: string }) {
  const leave = useLeave();
  const queries = useQueryClient();
  const ending = useOnce({
    mutationFn: () => told(api.DELETE("/api/requests/{request_id}", { params: { path: { request_id: id } } })),
    onSuccess: () => {
      forgetContent(queries, id);
      leave();
    },
  });
  return (
    <>
      <Problem error={ending.error} />
      <Group justify="flex-end">
        <Button className="danger" loading={ending.isPending} onClick={() => ending.run()}>
          {t("Delete its content now")}
        </Button>
      </Group>
    </>
  );
}
