// What people are in their organisation, and what they may make others there.
import type { components } from "../api/schema";
import { t } from "./language";

export type Role = components["schemas"]["Role"]["role"];
type Belonging = components["schemas"]["Me"]["role"];

const SAID: Record<Belonging, () => string> = {
  owner: () => t("Owner"),
  admin: () => t("Administrator"),
  member: () => t("Member"),
  viewer: () => t("Viewer"),
  former: () => t("has left"),
};

export function role(id: Belonging): string {
  return SAID[id]();
}

/** The roles that somebody can give (`members.GIVES`). */
const GIVES: Partial<Record<Belonging, readonly Role[]>> = {
  owner: ["owner", "admin", "member", "viewer"],
  admin: ["member", "viewer"],
};

export function givable(mine: Belonging): readonly Belonging[] {
  return GIVES[mine] ?? [];
}
