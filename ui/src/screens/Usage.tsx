// What was used, by day and by model, and the same as a file for a spreadsheet.
import { Button, SegmentedControl } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { useCurrency } from "../api/me";
import { type Sum, byDay, usageSince } from "../api/usage";
import { Bars } from "../parts/Bars";
import { Empty, Loaded, Page, Section } from "../parts/Page";
import { save } from "../parts/save";
import { lastDays } from "../words/days";
import { day as said, money, number } from "../words/figures";
import { t, useLanguage } from "../words/language";

const SPANS = [7, 30, 90] as const;

export function Usage() {
  useLanguage();
  const [span, setSpan] = useState<number>(30);
  const days = lastDays(span);
  const found = useQuery(usageSince(days[0] ?? ""));
  const currency = useCurrency();
  return (
    <Page
      title={t("Usage")}
      lead={t("Days are counted in UTC. Lines of requests end with their own period; what was charged stays in the wallet.")}
      act={
        <SegmentedControl
          aria-label={t("Time")}
          value={String(span)}
          onChange={(value) => setSpan(Number(value))}
          data={SPANS.map((each) => ({ value: String(each), label: t("{amount} days", { amount: each }) }))}
        />
      }
    >
      <Loaded of={found} lines={6}>
        {({ days: sums }) => {
          if (sums.length === 0) return <Empty title={t("Nothing in this time.")}>{t("As soon as a key is used, its figures appear here.")}</Empty>;
          const daily = byDay(sums);
          const bars = (value: "cost" | "requests" | "tokens", write: (figure: number) => string) =>
            days.map((each) => ({ label: said(each), value: daily.get(each)?.[value] ?? 0, said: write(daily.get(each)?.[value] ?? 0) }));
          return (
            <>
              <div className="pair">
                <Bars title={t("Spending per day")} bars={bars("cost", (figure) => money(String(figure), currency))} />
                <Bars title={t("Requests per day")} bars={bars("requests", number)} />
                <Bars title={t("Tokens per day")} bars={bars("tokens", number)} />
              </div>
              <Models of={sums} currency={currency} />
            </>
          );
        }}
      </Loaded>
    </Page>
  );
}

function Models({ of: sums, currency }: { of: readonly Sum[]; currency: string }) {
  const csv = () => {
    const rows = sums.map((each) => [each.day, each.model, each.requests, each.input_tokens, each.output_tokens, each.cost]);
    return [["day", "model", "requests", "input_tokens", "output_tokens", "cost"], ...rows].map((row) => row.map(cell).join(",")).join("\r\n");
  };
  return (
    <Section
      title={t("By day and model")}
      act={
        <Button variant="default" size="xs" onClick={() => save("usage.csv", "text/csv", csv())}>
          {t("Download as CSV")}
        </Button>
      }
    >
      <div className="scroll" tabIndex={0} role="region" aria-label={t("By day and model")}>
        <table className="table">
          <thead>
            <tr>
              <th scope="col">{t("Day")}</th>
              <th scope="col">{t("Model")}</th>
              <th scope="col" className="num">{t("Number of requests")}</th>
              <th scope="col" className="num">{t("Tokens in")}</th>
              <th scope="col" className="num">{t("Tokens out")}</th>
              <th scope="col" className="num">{t("Cost")}</th>
            </tr>
          </thead>
          <tbody>
            {sums.map((each) => (
              <tr key={`${each.day} ${each.model}`}>
                <td>{said(each.day)}</td>
                <td>{each.model}</td>
                <td className="num">{number(each.requests)}</td>
                <td className="num">{number(each.input_tokens)}</td>
                <td className="num">{number(each.output_tokens)}</td>
                <td className="num">{money(each.cost, currency)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Section>
  );
}

/** A cell of CSV; what a spreadsheet would take for a formula is kept a text. */
function cell(value: string | number): string {
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
