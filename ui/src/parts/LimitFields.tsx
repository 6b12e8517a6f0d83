// What a key, or the keys of a project together, may use: rates, requests at once, budgets. Empty: no such limit.
import { NumberInput } from "@mantine/core";

import type { Limits } from "../api/projects";
import { money, number } from "../words/figures";
import { t } from "../words/language";

const NANO = 1e9;

const RATES = [
  ["requests_per_min", () => t("Requests per minute")],
  ["tokens_per_min", () => t("Tokens per minute")],
  ["parallel", () => t("Requests at once")],
] as const;
const BUDGETS = [
  ["budget_day_nano", () => t("Budget per day")],
  ["budget_month_nano", () => t("Budget per month")],
  ["budget_total_nano", () => t("Budget in total")],
] as const;

export function LimitFields({ of: limits, currency, change }: { of: Limits; currency: string; change: (limits: Limits) => void }) {
  const set = (field: keyof Limits, value: number | null) => change({ ...limits, [field]: value });
  return (
    <>
      {RATES.map(([field, label]) => (
        <NumberInput
          key={field}
          label={label()}
          placeholder={t("no limit")}
          min={1}
          allowDecimal={false}
          value={limits[field] ?? ""}
          onChange={(value) => set(field, value === "" ? null : Number(value))}
        />
      ))}
      {BUDGETS.map(([field, label]) => (
        <NumberInput
          key={field}
          label={label()}
          placeholder={t("no limit")}
          min={0}
          suffix={` ${currency}`}
          value={limits[field] == null ? "" : Number(limits[field]) / NANO}
          onChange={(value) => set(field, value === "" ? null : Math.round(Number(value) * NANO))}
        />
      ))}
    </>
  );
}

/** The limits that are set, each in a few words. */
export function limitWords(limits: Limits, currency: string): string[] {
  return [
    ...RATES.filter(([field]) => limits[field] != null).map(([field, label]) => `${label()}: ${number(Number(limits[field]))}`),
    ...BUDGETS.filter(([field]) => limits[field] != null).map(([field, label]) => `${label()}: ${money(String(Number(limits[field]) / NANO), currency)}`),
  ];
}
