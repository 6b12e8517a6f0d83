// Talking to a model: streaming, with a stop, the cost as it is told, and a switch for whether any of it is stored.
import { Button, NumberInput, Select, Switch, Textarea } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";

import { type Turn, chat, models } from "../api/chat";
import { useCurrency } from "../api/me";
import { Empty, Page, Problem } from "../parts/Page";
import { Snippets } from "../parts/Snippets";
import { money, moment } from "../words/figures";
import { t, useLanguage } from "../words/language";

const TOKENS_DEFAULT = 256;
const TOKENS_MAX = 8192;

interface Answered extends Turn {
  cost?: string;
  kept?: string;
}

export function Playground() {
  useLanguage();
  const queries = useQueryClient();
  const known = useQuery({ queryKey: ["models"], queryFn: models, staleTime: 60_000, retry: false });
  const currency = useCurrency();
  const [model, setModel] = useState<string | null>(null);
  const [system, setSystem] = useState("");
  const [temperature, setTemperature] = useState<number | string>(0.7);
  const [tokens, setTokens] = useState<number | string>(TOKENS_DEFAULT);
  const [keeps, setKeeps] = useState(false);
  const [turns, setTurns] = useState<Answered[]>([]);
  const [draft, setDraft] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [running, setRunning] = useState<AbortController | null>(null);
  const isSending = useRef(false);
  const end = useRef<HTMLDivElement>(null);
  const chosen = model ?? known.data?.[0] ?? "";
  const asked = (messages: Turn[]) => ({
    model: chosen,
    messages: [...(system ? [{ role: "system" as const, content: system }] : []), ...messages.map(({ role, content }) => ({ role, content }))],
    temperature: Number(temperature),
    max_tokens: Number(tokens) || TOKENS_DEFAULT,
  });

  useEffect(() => {
    end.current?.scrollIntoView({ block: "end" });
  }, [turns]);

  const change = (with_: (last: Answered) => Answered) => setTurns((all) => [...all.slice(0, -1), with_(all.at(-1) as Answered)]);

  const send = async () => {
    const said = draft.trim();
    if (!said || isSending.current || !chosen) return;
    isSending.current = true;
    const before = turns;
    const messages: Turn[] = [...before, { role: "user", content: said }];
    const stop = new AbortController();
    setRunning(stop);
    setError(null);
    setDraft("");
    setTurns([...before, { role: "user", content: said }, { role: "assistant", content: "" }]);
    try {
      await chat(asked(messages), keeps ? null : 0, stop.signal, {
        text: (piece) => change((last) => ({ ...last, content: last.content + piece })),
        cost: (cost) => change((last) => ({ ...last, cost })),
        stored: (until, isStored) => change((last) => ({ ...last, kept: isStored ? (until ? t("stored until {time}", { time: moment(until) }) : t("stored with your account")) : t("not stored") })),
      });
    } catch (wrong) {
      if (!stop.signal.aborted) {
        setError(wrong);
        setDraft(said); // nothing typed is lost
        setTurns(before);
      }
    } finally {
      isSending.current = false;
      setRunning(null);
      void queries.invalidateQueries({ predicate: (query) => query.queryKey[0] !== "models" });
    }
  };

  return (
    <Page
      wide
      title={t("Playground")}
      act={
        turns.length > 0 ? (
          <Button variant="default" onClick={() => setTurns([])} disabled={running !== null}>
            {t("Begin anew")}
          </Button>
        ) : undefined
      }
    >
      <div className="playground">
        <div className="talk">
          <div className="turns" role="log" aria-live="polite" aria-busy={running !== null} aria-label={t("Conversation")}>
            {turns.length === 0 && (
              <Empty title={t("Ask anything")}>{t("What you write goes to the model that you choose, and is charged to your wallet. It leaves no trace here unless you switch storing on.")}</Empty>
            )}
            {turns.map((turn, place) => (
              <div key={place} className={`turn ${turn.role}`}>
                <p className="turn-who">{turn.role === "user" ? t("You") : chosen}</p>
                <p className="turn-said" dir="auto">
                  {turn.content || (running ? <span className="typing" aria-label={t("Loading")} /> : t("(no text)"))}
                </p>
                {(turn.cost || turn.kept) && (
                  <p className="row-note">
                    {turn.cost && <span>{t("cost {amount}", { amount: money(turn.cost, currency) })}</span>}
                    {turn.kept && <span>{turn.kept}</span>}
                  </p>
                )}
              </div>
            ))}
            <div ref={end} />
          </div>
          <Problem error={error ?? known.error} retry={known.error ? () => void known.refetch() : undefined} />
          <form
            className="ask"
            onSubmit={(event) => {
              event.preventDefault();
              void send();
            }}
          >
            <Textarea
              label={t("Message")}
              classNames={{ label: "unseen" }}
              placeholder={t("Write a message")}
              description={t("Ctrl + Enter sends it.")}
              inputWrapperOrder={["label", "input", "description", "error"]}
              autosize
              minRows={2}
              maxRows={10}
             
              value={draft}
              onChange={(event) => setDraft(event.currentTarget.value)}
              onKeyDown={(event) => {
                if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void send();
              }}
            />
            {running ? (
              <Button variant="default" onClick={() => running.abort()}>
                {t("Stop")}
              </Button>
            ) : (
              <Button type="submit" disabled={!draft.trim() || !chosen}>
                {t("Send")}
              </Button>
            )}
          </form>
        </div>
        <aside className="knobs stack" aria-label={t("Parameters")}>
          <Select label={t("Model")} data={known.data ?? []} value={chosen || null} onChange={setModel} searchable nothingFoundMessage={t("no such model")} />
          <Switch
            label={t("Store this conversation")}
            description={keeps ? t("as long as your organisation asked for, at most") : t("Nothing of it is stored.")}
            checked={keeps}
            onChange={(event) => setKeeps(event.currentTarget.checked)}
          />
          <Textarea label={t("Instructions")} placeholder={t("How the model should answer")} autosize minRows={2} maxRows={6} value={system} onChange={(event) => setSystem(event.currentTarget.value)} />
          <div className="grid-2">
            <NumberInput label={t("Temperature")} min={0} max={2} step={0.1} decimalScale={2} value={temperature} onChange={setTemperature} />
            <NumberInput label={t("Tokens at most")} min={1} max={TOKENS_MAX} allowDecimal={false} value={tokens} onChange={setTokens} />
          </div>
          <Snippets of={asked(turns.length ? turns.filter((turn) => turn.content) : [{ role: "user", content: draft || t("Hello!") }])} keepH={keeps ? null : 0} />
        </aside>
      </div>
    </Page>
  );
}
