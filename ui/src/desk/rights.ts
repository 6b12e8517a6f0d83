// What requests of people are called at the desk, and which of them a person answers.
import { t } from "../words/language";
import type { Tone } from "../parts/Page";

export const KINDS: Record<string, () => string> = {
  access: () => t("Copy of their data"),
  port: () => t("Copy for another service"),
  rectify: () => t("Put something right"),
  erase: () => t("Erase everything"),
  restrict: () => t("Restrict the use"),
  object: () => t("Objection"),
  withdraw: () => t("Consent taken back"),
  complain: () => t("Complaint"),
};

export const STATES: Record<string, readonly [Tone, () => string]> = {
  received: ["open", () => t("received")],
  verified: ["open", () => t("waits")],
  planned: ["open", () => t("planned")],
  running: ["open", () => t("running")],
  succeeded: ["good", () => t("done")],
  refused: ["plain", () => t("refused")],
  failed: ["bad", () => t("failed")],
};

export const OPEN = ["received", "verified", "planned", "running"];
/** Kinds that wait for somebody at the desk; the keeper carries the others out by itself. */
export const BY_PEOPLE = ["rectify", "complain"];
