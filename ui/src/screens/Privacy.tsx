// The privacy centre: what is stored, what one has said about it, and every right with its button.
import { useQuery } from "@tanstack/react-query";

import { api, told } from "../api/client";
import { stored } from "../api/stored";
import { Choices } from "../parts/Choices";
import { ConsentRecords } from "../parts/Consents";
import { DataMap } from "../parts/DataMap";
import { Decisions } from "../parts/Decisions";
import { Erase } from "../parts/Erase";
import { Loaded, Page, Section } from "../parts/Page";
import { Openings } from "../parts/Openings";
import { CopyOfData, Requests } from "../parts/Rights";
import { Row, Rows } from "../parts/Rows";
import { day } from "../words/figures";
import { t, useLanguage } from "../words/language";

export function Privacy() {
  useLanguage();
  const held = useQuery(stored);
  return (
    <Page title={t("Privacy centre")} lead={t("What is stored about you, who saw it, and what you can do about it. Nobody needs to be written to.")}>
      <Section title={t("Your data")} note={t("Counted now. Nothing is opened for this list.")} act={<a href="/privacy/data">{t("The whole data map")}</a>}>
        <Loaded of={held} lines={8}>{(found) => <DataMap of={found} rules />}</Loaded>
      </Section>
      <Choices />
      <ConsentRecords />
      <CopyOfData />
      <Requests />
      <Decisions />
      <Openings />
      <Accepted />
      <Erase />
    </Page>
  );
}

/** Every version that one accepted, with its date; the policy itself says whether a use accepts it or only a click. */
function Accepted() {
  useLanguage();
  const found = useQuery({ queryKey: ["acceptances"], queryFn: () => told(api.GET("/api/me/acceptances")) });
  return (
    <Section title={t("The policy you accepted")} act={<a href="/privacy/changes">{t("All versions")}</a>}>
      <Rows
        of={found}
        lines={1}
        none={<p>{t("None was asked for yet: this policy is accepted by using the platform.")}</p>}
        row={(each) => (
          <Row
            key={each.version}
            title={<a href={each.page}>{t("Version {number}", { number: each.version })}</a>}
            end={<p className="row-end note">{each.how === "explicit" ? t("you agreed on {day}", { day: day(each.at) }) : t("accepted by use on {day}", { day: day(each.at) })}</p>}
          />
        )}
      />
    </Section>
  );
}
