// The screens of the desk, and by which route each begins: who may not call it is spared a screen of refusals.
import { type Route, useMay } from "../api/me";
import { t } from "../words/language";

export interface Place {
  to: string;
  name: () => string;
  route: Route;
}

const PLACES: readonly Place[] = [
  { to: "/desk/requests", name: () => t("Rights"), route: "POST /api/desk/requests" },
  { to: "/desk/policy", name: () => t("Policy"), route: "GET /api/desk/policy" },
  { to: "/desk/evidence", name: () => t("Evidence"), route: "GET /api/desk/evidence" },
  { to: "/desk/registers", name: () => t("Registers"), route: "GET /api/desk/register" },
  { to: "/desk/incidents", name: () => t("Incidents"), route: "GET /api/desk/incidents" },
  { to: "/desk/upstreams", name: () => t("Upstreams"), route: "GET /api/desk/upstreams" },
  { to: "/desk/models", name: () => t("Models and prices"), route: "GET /api/desk/models" },
  { to: "/desk/limits", name: () => t("Limits"), route: "GET /api/desk/limits" },
  { to: "/desk/accounts", name: () => t("Accounts"), route: "POST /api/desk/account" },
  { to: "/desk/record", name: () => t("Record"), route: "POST /api/desk/openings" },
  { to: "/desk/retention", name: () => t("Retention"), route: "GET /api/desk/retention" },
  { to: "/desk/jobs", name: () => t("Jobs"), route: "GET /api/desk/jobs" },
];

/** Those to which somebody comes. */
export function usePlaces(): Place[] {
  const may = useMay();
  return PLACES.filter((place) => may(place.route));
}
