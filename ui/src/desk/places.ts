// The screens of the desk, who comes to them, and by which route each begins. The API decides; this only spares people screens
// on which everything would be refused. A test holds it against the table of permissions.
import { t } from "../words/language";

export interface Place {
  to: string;
  name: () => string;
  route: string;
  roles: readonly string[];
}

export const PLACES: readonly Place[] = [
  { to: "/desk/requests", name: () => t("Rights"), route: "POST /api/desk/requests", roles: ["auditor", "privacy"] },
  { to: "/desk/policy", name: () => t("Policy"), route: "GET /api/desk/policy", roles: ["auditor", "operator", "privacy"] },
  { to: "/desk/evidence", name: () => t("Evidence"), route: "GET /api/desk/evidence", roles: ["auditor", "operator", "privacy"] },
  { to: "/desk/registers", name: () => t("Registers"), route: "GET /api/desk/register", roles: ["auditor", "operator", "privacy"] },
  { to: "/desk/incidents", name: () => t("Incidents"), route: "GET /api/desk/incidents", roles: ["auditor", "operator", "privacy", "security"] },
  { to: "/desk/upstreams", name: () => t("Upstreams"), route: "GET /api/desk/upstreams", roles: ["auditor", "operator", "security"] },
  { to: "/desk/models", name: () => t("Models and prices"), route: "GET /api/desk/models", roles: ["auditor", "billing", "operator"] },
  { to: "/desk/accounts", name: () => t("Accounts"), route: "POST /api/desk/account", roles: ["billing", "operator", "privacy", "support"] },
  { to: "/desk/record", name: () => t("Record"), route: "POST /api/desk/openings", roles: ["auditor"] },
  { to: "/desk/retention", name: () => t("Retention"), route: "GET /api/desk/retention", roles: ["auditor", "operator", "privacy"] },
  { to: "/desk/jobs", name: () => t("Jobs"), route: "GET /api/desk/jobs", roles: ["auditor", "operator", "security"] },
];

export function placesOf(role: string): Place[] {
  return PLACES.filter((place) => place.roles.includes(role));
}
