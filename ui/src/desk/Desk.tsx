// The frame of the desk: its screens, for the role in which somebody of the staff is here.
import { Link, Outlet } from "@tanstack/react-router";

import { useMe, useNames } from "../api/me";
import { Empty, Page } from "../parts/Page";
import { t, useLanguage } from "../words/language";
import "./desk.css";
import { placesOf } from "./places";

export function Desk() {
  useLanguage();
  const name = useNames();
  const { staff } = useMe();
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
          {[{ to: "/desk", name: () => t("Today") }, ...placesOf(staff)].map((place) => (
            <li key={place.to}>
              <Link to={place.to} activeOptions={{ exact: place.to === "/desk" }} activeProps={{ "aria-current": "page" }}>
                {place.name()}
              </Link>
            </li>
          ))}
        </ul>
      </nav>
      <Outlet />
    </div>
  );
}
