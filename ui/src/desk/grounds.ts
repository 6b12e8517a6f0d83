// The grounds on which something goes to somebody, in words.
import { t } from "../words/language";

export const GROUNDS: Record<string, () => string> = {
  own: () => t("Our own machine"),
  provider: () => t("Processor"),
  legal: () => t("Legal process"),
  corporate: () => t("Sale of the company"),
  protection: () => t("Protection of rights"),
  public_safety: () => t("Public safety"),
  interest: () => t("Legitimate interest"),
  consent: () => t("Consent"),
};

/** Grounds on which data of one person goes (`entries.NEEDS_PERSON`). */
export const PERSONS = ["legal", "protection", "public_safety", "interest", "consent"];
