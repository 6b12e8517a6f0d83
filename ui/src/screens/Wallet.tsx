// The organisation's money: what there is, and each change of it that concerns the person who looks.
import { Button } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";

import { api, told } from "../api/client";
import { Empty, Figure, Loaded, Page, Section } from "../parts/Page";
import { moment, money } from "../words/figures";
import { t, useLanguage } from "../words/language";

const KINDS: Record<string, () => string> = {
  charge: () => t("Request"),
  promotion: () => t("Credit, a gift"),
  payment: () => t("Credit, paid"),
  correction: () => t("Correction"),
  fold: () => t("Requests of a month"),
};

export function Wallet() {
  useLanguage();
  const found = useInfiniteQuery({
    queryKey: ["wallet", "ledger"],
    queryFn: ({ pageParam }) => told(api.GET("/api/wallet", { params: { query: pageParam ? { after: pageParam } : {} } })),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.after,
  });
  const first = found.data?.pages[0];
  const lines = found.data?.pages.flatMap((page) => page.ledger);
  return (
    <Page title={t("Wallet")} lead={t("Money is reserved before it is spent: a request never costs more than was there for it.")}>
      <Loaded of={{ ...found, data: first }} lines={2}>
        {(purse) => (
          <dl className="figures">
            <Figure of={t("Available")}>{money(purse.available, purse.currency)}</Figure>
            <Figure of={t("Balance")}>{money(purse.balance, purse.currency)}</Figure>
            <Figure of={t("Held by running requests")}>{money(purse.held, purse.currency)}</Figure>
          </dl>
        )}
      </Loaded>
      <Section title={t("Changes")} note={t("Credits of your organisation, and your own requests.")}>
        <Loaded of={{ ...found, data: lines }} lines={6}>
          {(all) =>
            all.length === 0 ? (
              <Empty title={t("Nothing has changed yet")}>{t("Credits and charges appear here as they are made.")}</Empty>
            ) : (
              <ul className="rows">
                {all.map((line) => (
                  <li className="row" key={line.id}>
                    <div className="row-main">
                      <p className="row-title">{KINDS[line.kind]?.() ?? line.kind.replaceAll("_", " ")}</p>
                      <p className="row-note">{moment(line.at)}</p>
                    </div>
                    <p className="row-end amount">{money(line.amount, first?.currency ?? "USD")}</p>
                  </li>
                ))}
              </ul>
            )
          }
        </Loaded>
        {found.hasNextPage && (
          <Button variant="default" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
            {t("Show more")}
          </Button>
        )}
      </Section>
    </Page>
  );
}
