// A text to be taken along, with a button that copies it and says so.
import { Button } from "@mantine/core";
import { useClipboard } from "@mantine/hooks";

import { t } from "../words/language";

export function CopyButton(props: { text: string }) {
  const { copy, copied } = useClipboard({ timeout: 2000 });
  return (
    <Button variant="default" size="xs" onClick={() => copy(props.text)} aria-live="polite">
      {copied ? t("Copied") : t("Copy")}
    </Button>
  );
}

/** A secret or a snippet in a box of its own. */
export function CopyBox(props: { text: string; label: string }) {
  return (
    <div className="copy-box">
      <pre tabIndex={0} role="region" aria-label={props.label}>
        <code>{props.text}</code>
      </pre>
      <CopyButton text={props.text} />
    </div>
  );
}
