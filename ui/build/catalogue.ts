// Catalogues of texts: `locales/LANGUAGE.po` becomes a module with one object, the English text as the name of each.
import { readFileSync } from "node:fs";
import type { Plugin } from "vite";

export function read(source: string): Record<string, string> {
  const found: Record<string, string> = {};
  const said = { msgid: "", msgstr: "" };
  let current: "msgid" | "msgstr" = "msgid";
  const keep = () => {
    if (said.msgid && said.msgstr) found[said.msgid] = said.msgstr;
    said.msgid = said.msgstr = "";
  };
  for (const line of source.split("\n")) {
    const [, word, text] = /^(?:(msgid|msgstr) )?(".*")$/.exec(line.trim()) ?? [];
    if (text === undefined) continue;
    if (word === "msgid") keep();
    if (word === "msgid" || word === "msgstr") current = word;
    said[current] += JSON.parse(text) as string;
  }
  keep();
  return found;
}

export function catalogue(): Plugin {
  return {
    name: "catalogue",
    transform(_, id) {
      if (!id.endsWith(".po")) return null;
      return { code: `export default ${JSON.stringify(read(readFileSync(id, "utf8")))}`, map: null };
    },
  };
}
