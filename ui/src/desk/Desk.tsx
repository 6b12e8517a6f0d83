// The frame of the desk: its screens, for the role in which somebody of the staff is here.
import { useQuery } from "@tanstack/react-query";
import { Link, Outlet } from "@tanstack/react-router";

import { api, told } from "../api/client";
import { useMe, useNames } from "../api/me";
import { Empty, Page } from "../parts/Page";
import { t, useLanguage } from "../words/language";
import "./desk.css";
import { usePlaces } from "./places";

/** Whether somebody has what the desk asks of staff; null: not known yet. */
function useIsStrong(): boolean | null {
  const code = useQuery({ queryKey: ["second-factor"], queryFn: () => told(api.GET("/api/me/second-factor")) }).data;
  const keys = useQuery({ queryKey: ["passkeys"], queryFn: () => told(api.GET("/api/me/passkeys")) }).data;
  return code && keys ? code.enabled || keys.length > 0 : null;
}

export function Desk() {
  useLanguage();
  const isStrong = useIsStrong();
  const name = useNames();
  const { staff } = useMe();
  const places = usePlaces();
  if (!staff)
    return (
      <Page title={t("Desk")}>
        <Empty title={t("The desk is for the operator's staff")} act={<Link to="/">{t("Go to the start")}</Link>} />
      </Page>
    );
  return (
    <div className="desk">
      <nav className="desk-places" aria-label={t("Desk")}>
        <p className="note">{t("Desk, as {role}", { role: name("role", staff) })}</p>
        <ul>
          {[{ to: "/desk", name: () => t("Today") }, ...places].map((place) => (
            <li key={place.to}>
              <Link to={place.to} activeOptions={{ exact: place.to === "/desk" }} activeProps={{ "aria-current": "page" }}>
                {place.name()}
              </Link>
            </li>
          ))}
        </ul>
      </nav>
      {isStrong === false ? (
        <Page wide title={t("Desk")}>
          <Empty title={t("Staff need a second factor")} act={<Link to="/settings">{t("Set one up in the settings")}</Link>}>
            {t("An app that shows codes, or a passkey. The desk opens with it.")}
          </Empty>
        </Page>
      ) : (
        <Outlet />
      )}
    </div>
  );
}
