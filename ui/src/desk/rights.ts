// What requests of people are called at the desk, where they are somebody else's.
import { t } from "../words/language";
import { KINDS as OWN } from "../words/rights";

export const KINDS: typeof OWN = { ...OWN, access: () => t("Copy of their data") };
