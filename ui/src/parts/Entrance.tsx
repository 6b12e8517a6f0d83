// The frame of the pages before a sign-in: the form on one side, what this place is on the other.
import type { FormEvent, ReactNode } from "react";

import { LANGUAGES, speak, t, useLanguage } from "../words/language";
import { useArrival } from "./arrival";

export function Entrance(props: { title: string; lead?: ReactNode; submit?: (event: FormEvent) => void; children: ReactNode; below?: ReactNode }) {
  const language = useLanguage();
  const heading = useArrival(props.title);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    props.submit?.(event);
  };
  return (
    <div className="entrance">
      <header className="entrance-head">
        <a className="wordmark" href="/">
          Avow
        </a>
        <nav aria-label={t("Language")}>
          {LANGUAGES.filter(([each]) => each !== language).map(([each, name]) => (
            <button key={each} type="button" className="link" lang={each} onClick={() => void speak(each, true)}>
              {name}
            </button>
          ))}
        </nav>
      </header>
      <main className="entrance-form">
        <h1 ref={heading} tabIndex={-1}>
          {props.title}
        </h1>
        {props.lead && <p className="lead">{props.lead}</p>}
        {props.submit ? (
          <form onSubmit={submit} className="stack">
            {props.children}
          </form>
        ) : (
          <div className="stack">{props.children}</div>
        )}
        {props.below && <p className="entrance-below">{props.below}</p>}
      </main>
      <aside className="entrance-aside">
        <p>{t("What is stored, why and until when is one file here. It is the privacy policy, and it is the configuration.")}</p>
        <p>
          <a href="/privacy">{t("Privacy policy")}</a> · <a href="/proof">{t("Proof")}</a>
        </p>
      </aside>
    </div>
  );
}
