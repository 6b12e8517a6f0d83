// The frame around every screen of somebody who is signed in: where they are, where they can go, what is to be known.
import { Link, Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import { useEffect, useState } from "react";

import { type Route, useMay, useMe, useNames, useSignOut } from "../api/me";
import { t, useLanguage } from "../words/language";
import { Notices } from "./Notices";

interface Place {
  to: string;
  name: () => string;
  /** The route by which it begins: whom it would refuse is not led there. */
  route?: Route;
}

const PLACES: readonly (readonly Place[])[] = [
  [
    { to: "/", name: () => t("Home") },
    { to: "/playground", name: () => t("Playground"), route: "POST /api/keys" },
    { to: "/keys", name: () => t("API keys"), route: "GET /api/keys" },
    { to: "/requests", name: () => t("Requests"), route: "GET /api/requests" },
    { to: "/usage", name: () => t("Usage"), route: "GET /api/usage" },
  ],
  [
    { to: "/privacy", name: () => t("Privacy centre") },
    { to: "/organisation", name: () => t("Organisation"), route: "GET /api/projects" },
    { to: "/wallet", name: () => t("Wallet"), route: "GET /api/wallet" },
    { to: "/settings", name: () => t("Settings") },
  ],
];

export function Frame() {
  useLanguage();
  useNames(); // asked for at once, so that no screen shows a name that changes under the eye
  const [open, setOpen] = useState(false);
  const { pathname } = useLocation();
  useEffect(() => setOpen(false), [pathname]);
  const { staff } = useMe();
  const may = useMay();
  return (
    <div className="frame">
      <a className="skip" href="#main">
        {t("Skip to the content")}
      </a>
      <header className="side">
        <div className="side-head">
          <Link to="/" className="wordmark">
            Avow
          </Link>
          <button type="button" className="menu" aria-expanded={open} aria-controls="places" onClick={() => setOpen(!open)}>
            {t("Menu")}
          </button>
        </div>
        <nav id="places" className={open ? "places open" : "places"} aria-label={t("Screens")}>
          {PLACES.map((group) => (
            <ul key={group[0]?.to}>
              {group.filter(({ route }) => !route || may(route)).map(({ to, name }) => (
                <li key={to}>
                  <Link to={to} activeOptions={{ exact: to === "/" }} activeProps={{ "aria-current": "page" }}>
                    {name()}
                  </Link>
                </li>
              ))}
            </ul>
          ))}
          {staff && (
            <ul>
              <li>
                <Link to="/desk" activeProps={{ "aria-current": "page" }}>
                  {t("Desk")}
                </Link>
              </li>
            </ul>
          )}
          <Person />
        </nav>
      </header>
      <main id="main" tabIndex={-1}>
        <Notices />
        <Outlet />
      </main>
    </div>
  );
}

function Person() {
  const { facts } = useMe();
  const signOut = useSignOut();
  const navigate = useNavigate();
  const leave = async () => {
    await signOut();
    await navigate({ to: "/sign-in", search: {} });
  };
  return (
    <div className="person">
      <bdi className="person-name" title={facts.email}>
        {facts.name || facts.username || facts.email}
      </bdi>
      <button type="button" className="link" onClick={() => void leave()}>
        {t("Sign out")}
      </button>
      <p className="public">
        <a href="/privacy">{t("Privacy policy")}</a>
        <a href="/proof">{t("Proof")}</a>
        <a href="/status">{t("Status")}</a>
      </p>
    </div>
  );
}
