// The same request as code, to be taken along.
import { SegmentedControl } from "@mantine/core";
import { useState } from "react";

import type { Asked } from "../api/chat";
import { t } from "../words/language";
import { CopyBox } from "./Copy";

type Form = "curl" | "python" | "js";

export function Snippets({ of: asked, keepH }: { of: Asked; keepH: number | null }) {
  const [form, setForm] = useState<Form>("curl");
  return (
    <details className="more">
      <summary>{t("As code")}</summary>
      <div className="stack">
        <SegmentedControl
          size="xs"
          aria-label={t("Language of the code")}
          value={form}
          onChange={(value) => setForm(value as Form)}
          data={[
            { value: "curl", label: "curl" },
            { value: "python", label: "Python" },
            { value: "js", label: "JavaScript" },
          ]}
        />
        <CopyBox label={t("As code")} text={WRITTEN[form](asked, keepH)} />
      </div>
    </details>
  );
}

const base = () => `${location.origin}/v1`;

const WRITTEN: Record<Form, (asked: Asked, keepH: number | null) => string> = {
  curl: (asked, keepH) =>
    [
      `curl ${base()}/chat/completions \\`,
      `  -H "Authorization: Bearer $AVOW_KEY" -H "Content-Type: application/json" \\`,
      ...(keepH === null ? [] : [`  -H "avow-retention: ${keepH}" \\`]),
      `  -d '${JSON.stringify(asked).replaceAll("'", "'\\''")}'`,
    ].join("\n"),
  python: (asked, keepH) =>
    [
      "import os",
      "from openai import OpenAI",
      "",
      `client = OpenAI(base_url="${base()}", api_key=os.environ["AVOW_KEY"])`,
      "answer = client.chat.completions.create(",
      `    model=${JSON.stringify(asked.model)},`,
      `    messages=${JSON.stringify(asked.messages)},`,
      `    temperature=${asked.temperature},`,
      `    max_tokens=${asked.max_tokens},`,
      ...(keepH === null ? [] : [`    extra_headers={"avow-retention": "${keepH}"},`]),
      ")",
      "print(answer.choices[0].message.content)",
    ].join("\n"),
  js: (asked, keepH) =>
    [
      'import OpenAI from "openai";',
      "",
      `const client = new OpenAI({ baseURL: "${base()}", apiKey: process.env.AVOW_KEY });`,
      "const answer = await client.chat.completions.create(",
      `  ${JSON.stringify(asked)},`,
      ...(keepH === null ? [] : [`  { headers: { "avow-retention": "${keepH}" } },`]),
      ");",
      "console.log(answer.choices[0].message.content);",
    ].join("\n"),
};
