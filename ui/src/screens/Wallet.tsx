// The organisation's money: what there is, and each change of it that concerns the person who looks.
import { api, told } from "../api/client";
import { usePaged } from "../api/paged";
import type { components } from "../api/schema";
import { Empty, Figure, Loaded, Page, Section } from "../parts/Page";
import { Row, Rows } from "../parts/Rows";
import { moment, money } from "../words/figures";
import { t, useLanguage } from "../words/language";

type Kind = components["schemas"]["billing_api_Line"]["kind"];

const KINDS: Record<Kind, () => string> = {
  charge: () => t("Request"),
  promotion: () => t("Credit, a gift"),
  payment: () => t("Credit, paid"),
  correction: () => t("Correction"),
  fold: () => t("Requests of a month"),
};

export function Wallet() {
  useLanguage();
  const found = usePaged({
    key: ["wallet", "ledger"],
    page: (after: string | null) => told(api.GET("/api/wallet", { params: { query: { after } } })),
    rows: (page) => page.ledger,
    end: (page) => page.after,
  });
  return (
    <Page title={t("Wallet")} lead={t("Money is reserved before it is spent: a request never costs more than was there for it.")}>
      <Loaded of={{ ...found, data: found.first }} lines={2}>
        {(purse) => (
          <dl className="figures">
            <Figure of={t("Available")}>{money(purse.available, purse.currency)}</Figure>
            <Figure of={t("Balance")}>{money(purse.balance, purse.currency)}</Figure>
            <Figure of={t("Held by running requests")}>{money(purse.held, purse.currency)}</Figure>
          </dl>
        )}
      </Loaded>
      <Section title={t("Changes")} note={t("Credits of your organisation, and your own requests.")}>
        <Rows
          of={found}
          lines={6}
          none={<Empty title={t("Nothing has changed yet")}>{t("Credits and charges appear here as they are made.")}</Empty>}
          row={(line) => (
            <Row
              key={line.id}
              title={KINDS[line.kind]()}
              note={moment(line.at)}
              end={<p className="row-end amount">{money(line.amount, found.first?.currency ?? "USD")}</p>}
            />
          )}
        />
      </Section>
    </Page>
  );
}
