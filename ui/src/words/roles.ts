// What people are in their organisation, and what they may make others there.
import { t } from "./language";

export const MANAGING = ["owner", "admin"];
export const BELONGING = ["owner", "admin", "member", "viewer"];

const SAID: Record<string, () => string> = {
  owner: () => t("Owner"),
  admin: () => t("Administrator"),
  member: () => t("Member"),
  viewer: () => t("Viewer"),
  former: () => t("has left"),
};

export function role(id: string): string {
  return SAID[id]?.() ?? id;
}

/** The roles that somebody can give: owners all, administrators those without power. */
export function givable(mine: string): string[] {
  return BELONGING.filter((each) => mine === "owner" || !MANAGING.includes(each));
}
