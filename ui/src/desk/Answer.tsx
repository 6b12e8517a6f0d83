// One request at the desk: opened with a reason that the person can read, then answered or refused, once.
import { Button, Group, Textarea } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { api, told } from "../api/client";
import { useMe } from "../api/me";
import type { components } from "../api/schema";
import { Problem } from "../parts/Page";
import { moment } from "../words/figures";
import { t } from "../words/language";
import { OPEN } from "../words/rights";
import { useAct } from "./act";
import { Reason } from "./Reason";
import type { Waiting } from "./Requests";
import { BY_PEOPLE } from "./rights";

type Read = components["schemas"]["Read"];
const ANSWER_CHARS_MAX = 4000;

export function Answer({ of: request, done }: { of: Waiting; done: () => void }) {
  const { staff } = useMe();
  const [read, setRead] = useState<Read | null>(null);
  const [reason, setReason] = useState("");
  const opening = useAct(() => told(api.POST("/api/desk/requests/open", { body: { id: request.id, reason } })), setRead);
  const isOurs = BY_PEOPLE.includes(request.kind) && OPEN.includes(request.state);
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
      {!isOurs && OPEN.includes(request.state) && <p className="note">{t("The platform carries this out by itself. If it fails, the job stands under Jobs and can be tried again there.")}</p>}
      {staff !== "privacy" ? (
        <p className="note">{t("Only the privacy officer opens what somebody wrote, and answers.")}</p>
      ) : read ? (
        <Written of={read} />
      ) : (
        <form
          className="stack"
          onSubmit={(event) => {
            event.preventDefault();
            opening.run();
          }}
        >
          <Reason value={reason} set={setReason} />
          <Problem error={opening.error} />
          <Button type="submit" variant="default" loading={opening.isPending} disabled={!reason.trim()}>
            {t("Open what they wrote")}
          </Button>
        </form>
      )}
      {staff === "privacy" && isOurs && read && <Reply to={request} done={done} />}
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

function Reply({ to: request, done }: { to: Waiting; done: () => void }) {
  const queries = useQueryClient();
  const [answer, setAnswer] = useState("");
  const sending = useAct(
    (state: "succeeded" | "refused") => told(api.POST("/api/desk/requests/answer", { body: { id: request.id, state, answer } })),
    async () => {
      await queries.invalidateQueries({ queryKey: ["desk"] });
      done();
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
