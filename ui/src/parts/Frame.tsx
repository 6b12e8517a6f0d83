// The frame around every screen of somebody who is signed in: where they are, where they can go, what is to be known.
import { Link, Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import { useEffect, useState } from "react";

import { useMe, useNames, useSignOut } from "../api/me";
import { t, useLanguage } from "../words/language";
import { Notices } from "./Notices";

const PLACES = [
  [
    ["/", () => t("Home")],
    ["/playground", () => t("Playground")],
    ["/keys", () => t("API keys")],
    ["/requests", () => t("Requests")],
    ["/usage", () => t("Usage")],
  ],
  [
    ["/privacy", () => t("Privacy centre")],
    ["/organisation", () => t("Organisation")],
    ["/wallet", () => t("Wallet")],
    ["/settings", () => t("Settings")],
  ],
] as const;

export function Frame() {
  useLanguage();
  useNames(); // asked for at once, so that no screen shows a name that changes under the eye
  const [open, setOpen] = useState(false);
  const { pathname } = useLocation();
  useEffect(() => setOpen(false), [pathname]);
  const { staff } = useMe();
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
            <ul key={group[0][0]}>
              {group.map(([to, name]) => (
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
