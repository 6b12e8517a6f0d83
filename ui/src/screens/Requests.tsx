// One's own requests: what each cost, and what is kept of it until when. Only the rows in view are drawn.
import { Button, TextInput } from "@mantine/core";
import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, useState } from "react";

import { api, told } from "../api/client";
import { useCurrency } from "../api/me";
import { type Request, forgetContents, requests } from "../api/requests";
import { Countdown } from "../parts/Countdown";
import { Ask, Dialog } from "../parts/Dialog";
import { Empty, Loaded, Page, State } from "../parts/Page";
import { Receipt } from "../parts/Receipt";
import { money, moment, number } from "../words/figures";
import { t, useLanguage } from "../words/language";

const ROW_PX = 76;
const AHEAD = 10;

export function Requests() {
  useLanguage();
  const found = useInfiniteQuery(requests);
  const [ending, setEnding] = useState(false);
  const [shown, setShown] = useState<Request | null>(null);
  const rows = found.data?.pages.flatMap((page) => page.requests);
  return (
    <Page
      wide
      title={t("Requests")}
      lead={t("Every call of your keys. What was said stays only where you asked for it, and only until the time beside it.")}
      act={
        rows?.length ? (
          <Button variant="default" onClick={() => setEnding(true)}>
            {t("Delete content")}
          </Button>
        ) : undefined
      }
    >
      <Loaded of={{ ...found, data: rows }} lines={8}>
        {(all) =>
          all.length === 0 ? (
            <Empty title={t("No requests yet")} act={<Link to="/playground">{t("Ask a model something")}</Link>}>
              {t("Each call appears here with its model, tokens, cost and time.")}
            </Empty>
          ) : (
            <List rows={all} isWhole={!found.hasNextPage} more={found.hasNextPage && !found.isFetchingNextPage ? () => void found.fetchNextPage() : null} show={setShown} />
          )
        }
      </Loaded>
      {ending && <EndMany close={() => setEnding(false)} />}
      {shown && (
        <Dialog title={t("One request")} size="lg" close={() => setShown(null)}>
          <Receipt of={shown} />
        </Dialog>
      )}
    </Page>
  );
}

function List({ rows, isWhole, more, show }: { rows: readonly Request[]; isWhole: boolean; more: (() => void) | null; show: (row: Request) => void }) {
  const place = useRef<HTMLDivElement>(null);
  const virtual = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => ROW_PX,
    overscan: AHEAD,
    scrollMargin: place.current?.offsetTop ?? 0,
  });
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (more && last >= rows.length - AHEAD) more();
  }, [last, more, rows.length]);
  return (
    <div className="rows requests" ref={place} role="list" style={{ height: virtual.getTotalSize() }}>
      {items.map((item) => {
        const row = rows[item.index];
        return (
          row && (
            <div
              key={row.id}
              role="listitem"
              ref={virtual.measureElement}
              data-index={item.index}
              aria-posinset={item.index + 1}
              aria-setsize={isWhole ? rows.length : -1}
              className="request"
              style={{ transform: `translateY(${item.start - virtual.options.scrollMargin}px)` }}
            >
              <Row of={row} show={() => show(row)} />
            </div>
          )
        );
      })}
    </div>
  );
}

function Row({ of: row, show }: { of: Request; show: () => void }) {
  const currency = useCurrency();
  return (
    <button type="button" className="request-row" onClick={show}>
      <span className="request-what">
        <span className="row-title">{row.model}</span>
        <span className="row-note">
          <span>{moment(row.at)}</span>
          <span>{t("{input} in, {output} out", { input: number(row.input_tokens), output: number(row.output_tokens) })}</span>
          <span>{t("{ms} ms", { ms: number(row.latency_ms) })}</span>
        </span>
      </span>
      <span className="request-kept">{row.stored ? <Countdown until={row.expires_at} /> : <State tone="plain">{t("not stored")}</State>}</span>
      <span className="request-cost">
        {row.status >= 400 ? <State tone="bad">{t("failed ({status})", { status: row.status })}</State> : money(row.cost, currency)}
      </span>
    </button>
  );
}

function EndMany({ close }: { close: () => void }) {
  const queries = useQueryClient();
  const [since, setSince] = useState("");
  const [until, setUntil] = useState("");
  const time = (day: string) => (day ? new Date(`${day}T00:00:00`).toISOString() : undefined);
  return (
    <Ask
      isDangerous
      title={t("Delete the content of requests?")}
      go={since || until ? t("Delete this range") : t("Delete all")}
      close={close}
      run={() => told(api.DELETE("/api/requests", { params: { query: { since: time(since), until: time(until) } } }))}
      done={() => forgetContents(queries)}
    >
      <p>{t("What was asked and answered goes at once and cannot be brought back. The lines with tokens and cost stay until their own end.")}</p>
      <div className="grid-2">
        <TextInput type="date" label={t("From")} description={t("empty: from the first")} value={since} onChange={(event) => setSince(event.currentTarget.value)} />
        <TextInput type="date" label={t("Until before")} description={t("empty: until now")} value={until} onChange={(event) => setUntil(event.currentTarget.value)} />
      </div>
    </Ask>
  );
}
