// What requests of people are called at the desk, where they are somebody else's, and which of them a person answers.
import { t } from "../words/language";
import { KINDS as OWN } from "../words/rights";

export const KINDS: typeof OWN = { ...OWN, access: () => t("Copy of their data") };

/** Kinds that wait for somebody at the desk; the keeper carries the others out by itself. */
export const BY_PEOPLE: readonly (keyof typeof OWN)[] = ["rectify", "complain"];
