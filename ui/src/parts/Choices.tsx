// Consents, objections and the restriction, each a switch; and whether content is kept at all.
import { Button, NumberInput, Switch } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import { useMay, useMe, useNames } from "../api/me";
import { stored } from "../api/stored";
import { t, useLanguage } from "../words/language";
import { ConsentSwitches } from "./Consents";
import { useOnce } from "./once";
import { Loaded, Problem, Section } from "./Page";

const CONTENT = "api_content";

export function Choices() {
  useLanguage();
  const name = useNames();
  const queries = useQueryClient();
  const found = useQuery({ queryKey: ["standing"], queryFn: () => told(api.GET("/api/privacy/standing")) });
  const say = useOnce({
    mutationFn: (change: () => Promise<unknown>) => change(),
    onSettled: () => queries.invalidateQueries({ queryKey: ["standing"] }),
  });
  const objection = (purpose: string, objects: boolean) => () =>
    objects
      ? told(api.POST("/api/privacy/requests", { body: { kind: "object", purpose } }))
      : told(api.DELETE("/api/privacy/standing/objections/{purpose}", { params: { path: { purpose } } }));
  const restriction = (restricted: boolean) => () =>
    restricted
      ? told(api.POST("/api/privacy/requests", { body: { kind: "restrict" } }))
      : told(api.DELETE("/api/privacy/standing/restriction"));
  return (
    <Section title={t("Your choices")} note={t("Each holds at once, and is taken back as easily as it was given.")}>
      <ConsentSwitches />
      <Loaded of={found}>
        {(held) => (
          <ul className="rows switches">
            {held.can_object.map((each) => (
              <li key={`object ${each}`}>
                <Switch
                  label={t("Object: {purpose}", { purpose: name("purpose", each) })}
                  description={t("While this is on, your data is not used for it.")}
                  checked={held.objected.includes(each)}
                  disabled={say.isPending}
                  onChange={(event) => say.run(objection(each, event.currentTarget.checked))}
                />
              </li>
            ))}
            <li>
              <Switch
                label={t("Restrict the use of all my data")}
                description={t("It stays stored, and is used for nothing but your rights and what the law demands.")}
                checked={held.restricted}
                disabled={say.isPending}
                onChange={(event) => say.run(restriction(event.currentTarget.checked))}
              />
            </li>
          </ul>
        )}
      </Loaded>
      <Problem error={say.error} />
      <Keeping />
    </Section>
  );
}

/** How long the organisation wishes content to be kept; nothing is, unless it asks. */
function Keeping() {
  const { keep_h } = useMe();
  const may = useMay();
  const queries = useQueryClient();
  const rule = useQuery(stored).data?.find((each) => each.category === CONTENT);
  const [hours, setHours] = useState<number | string>(keep_h ?? "");
  const wanted = hours === "" ? null : Number(hours);
  const saving = useOnce({
    mutationFn: () => told(api.PATCH("/api/tenant", { body: { keep_h: wanted } })),
    onSuccess: async ({ keep_h: keep }) => {
      setHours(keep ?? "");
      await queries.invalidateQueries();
    },
  });
  if (!rule?.asked || !may("PATCH /api/tenant")) return null;
  return (
    <form className="ask keeping" onSubmit={saving.submit}>
      <NumberInput
        label={t("Keep what requests say and what is answered, in hours")}
        description={keep_h == null ? t("Nothing is kept now. Ask for some hours to see your past requests here.") : t("Kept for {hours} hours now. Empty it to keep nothing from now on.", { hours: keep_h })}
        min={0}
        allowDecimal={false}
        value={hours}
        onChange={setHours}
        error={saving.error ? <Problem error={saving.error} /> : undefined}
      />
      <Button type="submit" variant="default" loading={saving.isPending} disabled={wanted === keep_h}>
        {t("Save")}
      </Button>
    </form>
  );
}
