// The pieces that every screen is made of: its head, sections, empty places, waiting places and refusals.
import { Skeleton } from "@mantine/core";
import { type ReactNode, useId } from "react";

import { sentence } from "../api/errors";
import { t, useLanguage } from "../words/language";
import { useArrival } from "./arrival";

/** A screen: its title (also the window's), one sentence, and what can be done at once. */
export function Page(props: { title: string; lead?: ReactNode; act?: ReactNode; wide?: boolean; children: ReactNode }) {
  useLanguage();
  const heading = useArrival(props.title);
  return (
    <div className={props.wide ? "page wide" : "page"}>
      <header className="page-head">
        <div>
          <h1 ref={heading} tabIndex={-1}>
            {props.title}
          </h1>
          {props.lead && <p className="lead">{props.lead}</p>}
        </div>
        {props.act && <div className="page-act">{props.act}</div>}
      </header>
      {props.children}
    </div>
  );
}

export function Section(props: { title: string; note?: ReactNode; act?: ReactNode; children: ReactNode }) {
  const id = useId();
  return (
    <section className="section" aria-labelledby={id}>
      <div className="section-head">
        <h2 id={id}>{props.title}</h2>
        {props.act}
      </div>
      {props.note && <p className="note">{props.note}</p>}
      {props.children}
    </section>
  );
}

/** A place with nothing in it yet: what will stand there, and the way to it. */
export function Empty(props: { title: string; children?: ReactNode; act?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{props.title}</p>
      {props.children && <p>{props.children}</p>}
      {props.act}
    </div>
  );
}

/** A refusal and a way on. */
export function Problem(props: { error: unknown; retry?: () => void }) {
  useLanguage();
  if (!props.error) return null;
  const said = sentence(props.error);
  return (
    <div className="problem" role="alert">
      <span lang={said.isEnglish ? "en" : undefined}>{said.text}</span>
      {props.retry && (
        <button type="button" className="link" onClick={props.retry}>
          {t("Try again")}
        </button>
      )}
    </div>
  );
}

interface Asked<T> {
  data: T | undefined;
  error: unknown;
  refetch: () => unknown;
}

/** What was asked for, once it is there; before, its shape; else the refusal. */
export function Loaded<T>(props: { of: Asked<T>; lines?: number; children: (value: T) => ReactNode }) {
  const { data, error, refetch } = props.of;
  if (data !== undefined) return <>{props.children(data)}</>;
  if (error) return <Problem error={error} retry={() => void refetch()} />;
  return <Waiting lines={props.lines ?? 3} />;
}

export function Waiting(props: { lines: number }) {
  return (
    <div className="waiting" role="status" aria-label={t("Loading")}>
      {Array.from({ length: props.lines }, (_, line) => (
        <Skeleton key={line} height={18} radius={6} width={`${88 - ((line * 23) % 40)}%`} />
      ))}
    </div>
  );
}

/** A figure with what it is; the big numbers of a screen. */
export function Figure(props: { of: string; children: ReactNode; note?: ReactNode }) {
  return (
    <div className="figure">
      <dt>{props.of}</dt>
      <dd>
        <span className="figure-value">{props.children}</span>
        {props.note && <span className="figure-note">{props.note}</span>}
      </dd>
    </div>
  );
}

export type Tone = "good" | "bad" | "open" | "plain";

/** A state in a word; its colour only repeats what it says. */
export function State(props: { tone: Tone; children: ReactNode }) {
  return <span className={`state ${props.tone}`}>{props.children}</span>;
}
