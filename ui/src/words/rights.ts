// What requests of people are called, how far they are, and which of them a person answers.
import type { components } from "../api/schema";
import type { Tone } from "../parts/Page";
import { t } from "./language";

type Request = components["schemas"]["Request"];

export const KINDS: Record<Request["kind"], () => string> = {
  access: () => t("Copy of my data, with what it means"),
  port: () => t("Copy to take to another service"),
  rectify: () => t("Put something right"),
  erase: () => t("Erase everything"),
  restrict: () => t("Restrict the use"),
  object: () => t("Objection"),
  withdraw: () => t("Consent taken back"),
  complain: () => t("Complaint"),
};

export const STATES: Record<Request["state"], readonly [Tone, () => string]> = {
  received: ["open", () => t("received")],
  verified: ["open", () => t("in the queue")],
  planned: ["open", () => t("planned")],
  running: ["open", () => t("running")],
  succeeded: ["good", () => t("done")],
  refused: ["bad", () => t("refused")],
  failed: ["bad", () => t("failed")],
};

/** Whether a request waits for its answer. */
export function isOpen({ state }: Pick<Request, "state">): boolean {
  return STATES[state][0] === "open";
}

/** Kinds that wait for somebody at the desk; the keeper carries the others out by itself. */
export const BY_PEOPLE: readonly Request["kind"][] = ["rectify", "complain"];
