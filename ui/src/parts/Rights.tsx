// A copy of one's data to take along, and every request that was made, with its state and the date by which it is answered.
import { Button, Select, Textarea } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import { useNames } from "../api/me";
import type { components } from "../api/schema";
import { away, day, moment, number } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { BY_PEOPLE, KINDS, STATES, isOpen } from "../words/rights";
import { Ask } from "./Dialog";
import { useOnce } from "./once";
import { Empty, Loaded, Problem, Section, State } from "./Page";
import { Row, Rows } from "./Rows";
import { save } from "./save";

type Request = components["schemas"]["Request"];
const COPIES = ["access", "port"];
const LOOK_MS = 1500;
/** The reason of a request that a person refused: it stands in their answer. */
const IN_ANSWER = "see_answer";

const asked = {
  queryKey: ["rights"],
  queryFn: () => told(api.GET("/api/privacy/requests")),
  refetchInterval: (query: { state: { data?: Request[] } }) =>
    query.state.data?.some((each) => COPIES.includes(each.kind) && isOpen(each)) ? LOOK_MS : (false as const),
};

export function CopyOfData() {
  useLanguage();
  const queries = useQueryClient();
  const found = useQuery(asked);
  const ask = useOnce({
    mutationFn: (kind: "access" | "port") => told(api.POST("/api/privacy/requests", { body: { kind } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["rights"] }),
  });
  const newest = found.data?.find((each) => COPIES.includes(each.kind));
  const isRunning = newest !== undefined && isOpen(newest);
  return (
    <Section title={t("Download your data")} note={t("A ZIP file with everything that is stored about you, in JSON, and a page that explains it. It can be fetched once.")}>
      {newest && (isRunning || newest.copy_ends_at) && <Copy of={newest} />}
      <div className="cluster">
        <Button loading={ask.isPending} disabled={isRunning} onClick={() => ask.run("access")}>
          {t("Prepare a copy")}
        </Button>
        <Button variant="default" loading={ask.isPending} disabled={isRunning} onClick={() => ask.run("port")}>
          {t("Only what I gave, for another service")}
        </Button>
      </div>
      <Problem error={ask.error} />
    </Section>
  );
}

function Copy({ of: request }: { of: Request }) {
  const queries = useQueryClient();
  const fetching = useOnce({
    mutationFn: async () => {
      const path = { params: { path: { id: request.id } }, parseAs: "blob" as const };
      const content = (await told(api.GET("/api/privacy/requests/{id}/copy", path))) as unknown as Blob;
      save(`${request.kind}-${request.changed_at.slice(0, 10)}.zip`, "application/zip", content);
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ["rights"] }),
  });
  return (
    <div className="card stack" role="status">
      {isOpen(request) ? (
        <>
          <p className="row-title">{t("Your copy is being made")}</p>
          <p className="note">{t("{count} records so far. You can leave this page; it goes on.", { count: number(request.copied) })}</p>
          <div className="progress" aria-hidden="true" />
        </>
      ) : (
        <>
          <p className="row-title">{t("Your copy is ready: {count} records", { count: number(request.copied) })}</p>
          <p className="note">{request.copy_ends_at && t("It waits until {time}, and is deleted as soon as it was fetched.", { time: moment(request.copy_ends_at) })}</p>
          <div>
            <Button loading={fetching.isPending} onClick={() => fetching.run()}>
              {t("Fetch the file")}
            </Button>
          </div>
        </>
      )}
      <Problem error={fetching.error} />
    </div>
  );
}

export function Requests() {
  useLanguage();
  const name = useNames();
  const found = useQuery(asked);
  const [writing, setWriting] = useState(false);
  return (
    <Section
      title={t("Your requests")}
      act={
        <Button variant="default" size="xs" onClick={() => setWriting(true)}>
          {t("Complain, or have something put right")}
        </Button>
      }
    >
      <Rows
        of={found}
        none={<Empty title={t("You have asked for nothing yet")}>{t("Each request appears here with its state and the date by which it is answered.")}</Empty>}
        row={(each) => {
          const [tone, said] = STATES[each.state];
          return (
            <Row
              key={each.id}
              title={`${KINDS[each.kind]()}${each.purpose ? `: ${name("purpose", each.purpose)}` : ""}`}
              note={
                <>
                  <span>{moment(each.received_at)}</span>
                  {each.reason && each.reason !== IN_ANSWER && <span lang="en">{each.reason.replaceAll("_", " ")}</span>}
                  {each.complain_to && <a href={each.complain_to}>{t("Complain to an authority")}</a>}
                </>
              }
              end={
                <div className="row-end">
                  <State tone={tone}>{said()}</State>
                  {isOpen(each) && (
                    <p className="note" title={day(each.due_at)}>
                      {t("due {when}", { when: away(each.due_at) })}
                    </p>
                  )}
                </div>
              }
            >
              {BY_PEOPLE.includes(each.kind) && !isOpen(each) && <Answer of={each} isLastRefusal={each.id === found.data?.find((one) => one.state === "refused")?.id} />}
            </Row>
          );
        }}
      />
      {writing && <Write close={() => setWriting(false)} />}
    </Section>
  );
}

/** What a person answered, opened when somebody wants to read it; why not, where they refused last, is there at once. */
function Answer({ of: request, isLastRefusal }: { of: Request; isLastRefusal: boolean }) {
  const [isShown, setShown] = useState(isLastRefusal);
  const found = useQuery({
    queryKey: ["rights", request.id, request.changed_at],
    queryFn: () => told(api.GET("/api/privacy/requests/{id}", { params: { path: { id: request.id } } })),
    enabled: isShown,
    staleTime: Infinity,
  });
  return (
    <details className="more" open={isShown} onToggle={(event) => setShown(event.currentTarget.open)}>
      <summary>{request.state === "refused" ? t("Why it was refused") : t("The answer")}</summary>
      {isShown && (
        <Loaded of={found} lines={2}>
          {({ answer }) =>
            answer ? (
              <p className="said" dir="auto">
                {answer}
              </p>
            ) : (
              <p className="note">{t("Nothing was written with it.")}</p>
            )
          }
        </Loaded>
      )}
    </details>
  );
}

function Write({ close }: { close: () => void }) {
  const queries = useQueryClient();
  const [kind, setKind] = useState<"complain" | "rectify">("complain");
  const [text, setText] = useState("");
  return (
    <Ask
      title={t("Write to the privacy desk")}
      go={t("Send")}
      close={close}
      isReady={text.trim() !== ""}
      run={() => told(api.POST("/api/privacy/requests", { body: { kind, text } }))}
      done={() => queries.invalidateQueries({ queryKey: ["rights"] })}
    >
      <Select
        label={t("What this is")}
        value={kind}
        onChange={(value) => setKind(value === "rectify" ? "rectify" : "complain")}
        data={[
          { value: "complain", label: t("Complaint") },
          { value: "rectify", label: t("Put something right") },
        ]}
      />
      <Textarea label={t("In your words")} required withAsterisk={false} maxLength={4000} autosize minRows={4} maxRows={12} value={text} onChange={(event) => setText(event.currentTarget.value)} data-autofocus />
      <p className="note">{t("A person answers, by mail and here. Fields of your account you change yourself, in the settings.")}</p>
    </Ask>
  );
}
