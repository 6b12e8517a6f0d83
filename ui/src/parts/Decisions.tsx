// What filters decided about one's own requests, and the way to have a person look at it. No text of a request is kept for it.
import { Button, Modal, Textarea } from "@mantine/core";
import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import type { components } from "../api/schema";
import { away, moment, number } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { useOnce } from "./once";
import { Loaded, Problem, Section, State } from "./Page";

type Decision = components["schemas"]["Decision"];
const PAGE = 10;
const WORDS_CHARS_MAX = 3500;

const ACTIONS: Record<string, () => string> = {
  block: () => t("Refused"),
  redact: () => t("Taken out"),
  flag: () => t("Noted"),
};
const STAGES: Record<string, () => string> = {
  prompt: () => t("in what you asked"),
  image: () => t("in a picture that you sent"),
  upload: () => t("in a file that you sent"),
  output: () => t("in what was answered"),
};

/** Only there where a filter has decided something: a policy without filters needs no empty list. */
export function Decisions() {
  useLanguage();
  const [appealing, setAppealing] = useState<Decision | null>(null);
  const found = useInfiniteQuery({
    queryKey: ["decisions"],
    queryFn: ({ pageParam }) => told(api.GET("/api/filter/decisions", { params: { query: { limit: PAGE, ...(pageParam ? { after: pageParam } : {}) } } })),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.after,
  });
  const lines = found.data?.pages.flatMap((page) => page.decisions);
  if (!found.error && !lines?.length) return null;
  return (
    <Section title={t("What filters decided")} note={t("The policy names each filter and what it looks for. Kept is what it did and how often, never a text.")}>
      <Loaded of={{ ...found, data: lines }}>
        {(all) => (
          <ul className="rows">
            {all.map((each) => (
              <Row key={each.id} of={each} appeal={() => setAppealing(each)} />
            ))}
          </ul>
        )}
      </Loaded>
      {found.hasNextPage && (
        <div>
          <Button variant="default" size="xs" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
            {t("Show more")}
          </Button>
        </div>
      )}
      <Modal opened={appealing !== null} onClose={() => setAppealing(null)} title={t("Have a person look at it")} closeButtonProps={{ "aria-label": t("Close") }}>
        {appealing && <Appeal of={appealing} done={() => setAppealing(null)} />}
      </Modal>
    </Section>
  );
}

function Row({ of: decision, appeal }: { of: Decision; appeal: () => void }) {
  return (
    <li className="row">
      <div className="row-main">
        <p className="row-title">
          {ACTIONS[decision.action]?.() ?? decision.action}: <a href={`/privacy#filter.${decision.filter}`}>{decision.filter}</a>
        </p>
        <p className="row-note">
          <span>{moment(decision.at)}</span>
          <span>{STAGES[decision.stage]?.() ?? decision.stage}</span>
          <span>
            {decision.kind} × {number(decision.score)}
          </span>
          {decision.expires_at && <span title={moment(decision.expires_at)}>{t("ends {time}", { time: away(decision.expires_at) })}</span>}
        </p>
      </div>
      {decision.state === "appealed" ? (
        <State tone="open">{t("a person looks at it")}</State>
      ) : (
        <Button variant="default" size="xs" onClick={appeal}>
          {t("Have a person look at it")}
        </Button>
      )}
    </li>
  );
}

function Appeal({ of: decision, done }: { of: Decision; done: () => void }) {
  const queries = useQueryClient();
  const [text, setText] = useState("");
  const sending = useOnce({
    mutationFn: () => told(api.POST("/api/filter/decisions/{decision_id}/appeal", { params: { path: { decision_id: decision.id } }, body: { text } })),
    onSuccess: async () => {
      await Promise.all([queries.invalidateQueries({ queryKey: ["decisions"] }), queries.invalidateQueries({ queryKey: ["rights"] })]);
      done();
    },
  });
  return (
    <form className="stack" onSubmit={sending.submit}>
      <p className="note">{t("It becomes a complaint with a date by which it is answered; you find it under your requests.")}</p>
      <Textarea label={t("In your words")} description={t("optional")} maxLength={WORDS_CHARS_MAX} autosize minRows={4} maxRows={12} value={text} onChange={(event) => setText(event.currentTarget.value)} data-autofocus />
      <Problem error={sending.error} />
      <Button type="submit" loading={sending.isPending}>
        {t("Send")}
      </Button>
    </form>
  );
}
