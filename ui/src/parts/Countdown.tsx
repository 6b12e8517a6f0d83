// How long something is still kept, counting down while it is looked at.
import { useEffect, useState } from "react";

import { left, moment } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { State } from "./Page";

const STEP_MS = 20_000;

export function Countdown({ until }: { until: string | null | undefined }) {
  useLanguage();
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const clock = setInterval(() => setNow(Date.now()), STEP_MS);
    return () => clearInterval(clock);
  }, []);
  if (!until) return <State tone="good">{t("stored with your account")}</State>;
  return (
    <span title={moment(until)}>
      <State tone="good">{t("stored, {left} left", { left: left(until, now) })}</State>
    </span>
  );
}
