// What filters decided about one's own requests, and the way to have a person look at it. No text of a request is kept for it.
import { Button, Textarea } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import { usePaged } from "../api/paged";
import type { components } from "../api/schema";
import { away, moment, number } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { Ask } from "./Dialog";
import { Section, State } from "./Page";
import { Row, Rows } from "./Rows";

type Decision = components["schemas"]["Decision"];
const PAGE = 10;
const WORDS_CHARS_MAX = 3500;

const ACTIONS: Record<Decision["action"], () => string> = {
  block: () => t("Refused"),
  redact: () => t("Taken out"),
  flag: () => t("Noted"),
};
const STAGES: Record<Decision["stage"], () => string> = {
  prompt: () => t("in what you asked"),
  image: () => t("in a picture that you sent"),
  upload: () => t("in a file that you sent"),
  output: () => t("in what was answered"),
};

/** Only there where a filter has decided something: a policy without filters needs no empty list. */
export function Decisions() {
  useLanguage();
  const [appealing, setAppealing] = useState<Decision | null>(null);
  const found = usePaged({
    key: ["decisions"],
    page: (after: string | null) => told(api.GET("/api/filter/decisions", { params: { query: { limit: PAGE, after } } })),
    rows: (page) => page.decisions,
    end: (page) => page.after,
  });
  if (!found.error && !found.data?.length) return null;
  return (
    <Section title={t("What filters decided")} note={t("The policy names each filter and what it looks for. Kept is what it did and how often, never a text.")}>
      <Rows of={found} row={(each) => <Line key={each.id} of={each} appeal={() => setAppealing(each)} />} />
      {appealing && <Appeal of={appealing} close={() => setAppealing(null)} />}
    </Section>
  );
}

function Line({ of: decision, appeal }: { of: Decision; appeal: () => void }) {
  return (
    <Row
      title={
        <>
          {ACTIONS[decision.action]()}: <a href={`/privacy#filter.${decision.filter}`}>{decision.filter}</a>
        </>
      }
      note={
        <>
          <span>{moment(decision.at)}</span>
          <span>{STAGES[decision.stage]()}</span>
          <span>
            {decision.kind} × {number(decision.score)}
          </span>
          {decision.expires_at && <span title={moment(decision.expires_at)}>{t("ends {time}", { time: away(decision.expires_at) })}</span>}
        </>
      }
      end={
        decision.state === "appealed" ? (
          <State tone="open">{t("a person looks at it")}</State>
        ) : (
          <Button variant="default" size="xs" onClick={appeal}>
            {t("Have a person look at it")}
          </Button>
        )
      }
    />
  );
}

function Appeal({ of: decision, close }: { of: Decision; close: () => void }) {
  const queries = useQueryClient();
  const [text, setText] = useState("");
  return (
    <Ask
      title={t("Have a person look at it")}
      go={t("Send")}
      close={close}
      run={() => told(api.POST("/api/filter/decisions/{decision_id}/appeal", { params: { path: { decision_id: decision.id } }, body: { text } }))}
      done={() => Promise.all([queries.invalidateQueries({ queryKey: ["decisions"] }), queries.invalidateQueries({ queryKey: ["rights"] })])}
    >
      <p className="note">{t("It becomes a complaint with a date by which it is answered; you find it under your requests.")}</p>
      <Textarea label={t("In your words")} description={t("optional")} maxLength={WORDS_CHARS_MAX} autosize minRows={4} maxRows={12} value={text} onChange={(event) => setText(event.currentTarget.value)} data-autofocus />
    </Ask>
  );
}
