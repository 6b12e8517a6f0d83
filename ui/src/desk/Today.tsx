// What waits at the desk today, for the role in which somebody is here. Each figure leads to its screen.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";

import { api, told } from "../api/client";
import { Loaded, Page } from "../parts/Page";
import { number } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { usePlaces } from "./places";

const SOON_MS = 30 * 24 * 3600 * 1000;
const PAGE = 100;
const MOST = 99;

export function Today() {
  useLanguage();
  const mine = new Set(usePlaces().map((place) => place.to));
  return (
    <Page wide title={t("Today")} lead={t("What waits for somebody, and what is wrong.")}>
      <div className="today">
        {mine.has("/desk/requests") && <Requests />}
        {mine.has("/desk/incidents") && <Incidents />}
        {mine.has("/desk/evidence") && <Evidence />}
        {mine.has("/desk/policy") && <Plans />}
        {mine.has("/desk/retention") && <Probes />}
        {mine.has("/desk/jobs") && <Jobs />}
        {mine.has("/desk/accounts") && <Tile to="/desk/accounts" of={t("Accounts")} note={t("Find somebody by their address or id.")} />}
        {mine.has("/desk/record") && <Tile to="/desk/record" of={t("Record")} note={t("Who looked at whom, and for what.")} />}
        {mine.has("/desk/models") && <Tile to="/desk/models" of={t("Models and prices")} note={t("What is offered, and what it costs.")} />}
      </div>
    </Page>
  );
}

function Tile(props: { to: string; of: string; note: string; children?: ReactNode }) {
  return (
    <Link to={props.to}>
      <span className="note">{props.of}</span>
      {props.children !== undefined && <span className="figure-value">{props.children}</span>}
      <span className="figure-note">{props.note}</span>
    </Link>
  );
}

function many(count: number, isMore: boolean): string {
  return isMore ? t("{count} or more", { count: number(MOST) }) : number(count);
}

function Requests() {
  const found = useQuery({ queryKey: ["desk", "today", "requests"], queryFn: () => told(api.POST("/api/desk/requests", { body: { open: true, limit: PAGE } })) });
  return (
    <Loaded of={found} lines={2}>
      {({ requests, after }) => {
        const overdue = requests.filter((each) => each.overdue).length;
        return (
          <Tile to="/desk/requests" of={t("Open rights requests")} note={overdue ? t("{count} of them overdue", { count: number(overdue) }) : t("none is overdue")}>
            {many(requests.length, after !== null)}
          </Tile>
        );
      }}
    </Loaded>
  );
}

function Incidents() {
  const found = useQuery({ queryKey: ["desk", "today", "incidents"], queryFn: () => told(api.GET("/api/desk/incidents", { params: { query: { open: true, limit: PAGE } } })) });
  return (
    <Loaded of={found} lines={2}>
      {({ incidents, after }) => (
        <Tile to="/desk/incidents" of={t("Open incidents")} note={t("refused connections, lapsed documents")}>
          {many(incidents.length, after !== null)}
        </Tile>
      )}
    </Loaded>
  );
}

function Evidence() {
  const found = useQuery({ queryKey: ["desk", "today", "evidence"], queryFn: () => told(api.GET("/api/desk/evidence", { params: { query: { limit: PAGE } } })) });
  return (
    <Loaded of={found} lines={2}>
      {({ claims }) => {
        const soon = claims.filter((each) => each.until && new Date(each.until).getTime() - Date.now() < SOON_MS).length;
        return (
          <Tile to="/desk/evidence" of={t("Claims with a valid document")} note={soon ? t("{count} lapse within 30 days", { count: number(soon) }) : t("none lapses within 30 days")}>
            {claims.length === 0 ? t("none") : t("{valid} of {all}", { valid: number(claims.filter((each) => each.valid).length), all: number(claims.length) })}
          </Tile>
        );
      }}
    </Loaded>
  );
}

function Plans() {
  const found = useQuery({ queryKey: ["desk", "today", "plans"], queryFn: () => told(api.GET("/api/desk/policy/plans", { params: { query: { limit: PAGE } } })) });
  return (
    <Loaded of={found} lines={2}>
      {({ plans }) => (
        <Tile to="/desk/policy" of={t("Plans that are not applied")} note={t("changes of the policy that were found out")}>
          {number(plans.filter((each) => each.state === "made").length)}
        </Tile>
      )}
    </Loaded>
  );
}

function Probes() {
  const found = useQuery({ queryKey: ["desk", "probes"], queryFn: () => told(api.GET("/api/evidence")) });
  return (
    <Loaded of={found} lines={2}>
      {(all) => (
        <Tile to="/desk/retention" of={t("Probes that failed")} note={t("of {count} that looked", { count: number(all.length) })}>
          {number(all.filter((each) => each.verdict === "failed").length)}
        </Tile>
      )}
    </Loaded>
  );
}

function Jobs() {
  const found = useQuery({ queryKey: ["desk", "today", "jobs"], queryFn: () => told(api.GET("/api/desk/jobs", { params: { query: { limit: 1 } } })) });
  return (
    <Loaded of={found} lines={2}>
      {({ counts }) => (
        <Tile to="/desk/jobs" of={t("Failed jobs")} note={t("{count} wait or run", { count: number(Number(counts.queued ?? 0) + Number(counts.picked ?? 0)) })}>
          {number(Number(counts.failed ?? 0))}
        </Tile>
      )}
    </Loaded>
  );
}
