// How far a plan of a change of the policy is.
import type { components } from "../api/schema";
import type { Tone } from "../parts/Page";
import { t } from "../words/language";

export const PLAN_STATES: Record<components["schemas"]["Shown"]["state"], readonly [Tone, () => string]> = {
  waiting: ["open", () => t("being found out")],
  refused: ["bad", () => t("cannot be done")],
  made: ["open", () => t("planned")],
  applied: ["good", () => t("applied")],
};
