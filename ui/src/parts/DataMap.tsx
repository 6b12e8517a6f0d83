// What is stored about a person: a line for each category, how much, why, and when it ends.
import { useNames } from "../api/me";
import type { Stored } from "../api/stored";
import { away, moment, period, records } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { Row } from "./Rows";

export function DataMap({ of, rules = false }: { of: readonly Stored[]; rules?: boolean }) {
  useLanguage();
  const name = useNames();
  return (
    <ul className="rows">
      {of.map((each) => (
        <Row
          key={each.category}
          title={name("category", each.category)}
          note={
            <>
              <span>{kept(each)}</span>
              {rules && each.keep !== "never" && <span>{each.purposes.map((purpose) => name("purpose", purpose)).join(" · ")}</span>}
            </>
          }
          end={
            <div className="row-end">
              <p className="row-title">{each.facts === 0 ? t("nothing") : records(each.facts)}</p>
              <p className="note">{ends(each)}</p>
            </div>
          }
        />
      ))}
    </ul>
  );
}

/** The rule of a category in a few words. */
export function kept(of: Stored): string {
  if (of.keep === "never") return t("never stored");
  if (of.keep === "life") return t("kept as long as your account");
  const long = period(of.amount, of.unit);
  if (of.asked) return t("kept only where your organisation asks for it: {period} at most", { period: long });
  return of.bound === "at most" ? t("kept {period} at most", { period: long }) : t("kept {period}", { period: long });
}

function ends(of: Stored) {
  if (of.facts === 0) return null;
  if (!of.next_end) return t("ends with your account");
  return <span title={moment(of.next_end)}>{t("next ends {when}", { when: away(of.next_end) })}</span>;
}
