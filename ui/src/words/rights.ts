// What requests of people are called, and how far they are.
import type { Tone } from "../parts/Page";
import { t } from "./language";

export const KINDS: Record<string, () => string> = {
  access: () => t("Copy of my data, with what it means"),
  port: () => t("Copy to take to another service"),
  rectify: () => t("Put something right"),
  erase: () => t("Erase everything"),
  restrict: () => t("Restrict the use"),
  object: () => t("Objection"),
  withdraw: () => t("Consent taken back"),
  complain: () => t("Complaint"),
};

export const STATES: Record<string, readonly [Tone, () => string]> = {
  received: ["open", () => t("received")],
  verified: ["open", () => t("in the queue")],
  planned: ["open", () => t("planned")],
  running: ["open", () => t("running")],
  succeeded: ["good", () => t("done")],
  refused: ["bad", () => t("refused")],
  failed: ["bad", () => t("failed")],
};

export const OPEN = ["received", "verified", "planned", "running"];
