// One request at the desk: opened with a reason that the person can read, then answered or refused, once.
import { Button, Group, Textarea } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { api, told } from "../api/client";
import type { Waiting } from "../api/desk";
import { useMay } from "../api/me";
import type { components } from "../api/schema";
import { useLeave } from "../parts/Dialog";
import { Problem } from "../parts/Page";
import { moment } from "../words/figures";
import { t } from "../words/language";
import { BY_PEOPLE, isOpen } from "../words/rights";
import { useAct } from "./act";
import { Reason } from "./Reason";

type Read = components["schemas"]["Read"];
const ANSWER_CHARS_MAX = 4000;

export function Answer({ of: request }: { of: Waiting }) {
  const may = useMay();
  const [read, setRead] = useState<Read | null>(null);
  const [reason, setReason] = useState("");
  const opening = useAct(() => told(api.POST("/api/desk/requests/open", { body: { id: request.id, reason } })), setRead);
  const isOurs = BY_PEOPLE.includes(request.kind) && isOpen(request);
  return (
    <div className="stack">
      <dl className="facts">
        <dt>{t("Request")}</dt>
        <dd>
          <code>{request.id}</code>
        </dd>
        <dt>{t("Person")}</dt>
        <dd>
          <code>{request.subject_id}</code>
        </dd>
        <dt>{t("Received")}</dt>
        <dd>{moment(request.received_at)}</dd>
        <dt>{t("Due")}</dt>
        <dd>{moment(request.due_at)}</dd>
      </dl>
      {!isOurs && isOpen(request) && <p className="note">{t("The platform carries this out by itself. If it fails, the job stands under Jobs and can be tried again there.")}</p>}
      {!may("POST /api/desk/requests/open") ? (
        <p className="note">{t("Only the privacy officer opens what somebody wrote, and answers.")}</p>
      ) : read ? (
        <Written of={read} />
      ) : (
        <form
          className="stack"
          onSubmit={opening.submit}
        >
          <Reason value={reason} set={setReason} />
          <Problem error={opening.error} />
          <Button type="submit" variant="default" loading={opening.isPending} disabled={!reason.trim()}>
            {t("Open what they wrote")}
          </Button>
        </form>
      )}
      {may("POST /api/desk/requests/answer") && isOurs && read && <Reply to={request} />}
    </div>
  );
}

function Written({ of: read }: { of: Read }) {
  return (
    <>
      {read.text ? (
        <p className="said" dir="auto">
          {read.text}
        </p>
      ) : (
        <p className="note">{t("Nothing was written with it.")}</p>
      )}
      {read.answer && (
        <>
          <p className="row-title">{t("The answer")}</p>
          <p className="said" dir="auto">
            {read.answer}
          </p>
        </>
      )}
    </>
  );
}

function Reply({ to: request }: { to: Waiting }) {
  const leave = useLeave();
  const queries = useQueryClient();
  const [answer, setAnswer] = useState("");
  const sending = useAct(
    (state: "succeeded" | "refused") => told(api.POST("/api/desk/requests/answer", { body: { id: request.id, state, answer } })),
    async () => {
      await queries.invalidateQueries({ queryKey: ["desk"] });
      leave();
    },
  );
  const send = (state: "succeeded" | "refused") => (event: FormEvent) => {
    event.preventDefault();
    sending.run(state);
  };
  return (
    <form className="stack" onSubmit={send("succeeded")}>
      <Textarea
        label={t("Your answer")}
        description={t("It goes to the person by mail and stands with their request. A refusal says why; where they can complain is added.")}
        required
        withAsterisk={false}
        maxLength={ANSWER_CHARS_MAX}
        autosize
        minRows={4}
        maxRows={14}
        dir="auto"
        value={answer}
        onChange={(event) => setAnswer(event.currentTarget.value)}
      />
      <Problem error={sending.error} />
      <Group justify="flex-end" gap="sm">
        <Button variant="default" disabled={!answer.trim() || sending.isPending} onClick={send("refused")}>
          {t("Refuse with this answer")}
        </Button>
        <Button type="submit" loading={sending.isPending} disabled={!answer.trim()}>
          {t("Answer and close")}
        </Button>
      </Group>
    </form>
  );
}
