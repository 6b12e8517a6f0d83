// The language of the app: one catalogue at a time, loaded when it is asked for, and how numbers and times read in it.
import { useSyncExternalStore } from "react";

export type Language = "en" | "zh";
export type Words = Record<string, string>;

const KEPT_AS = "avow.language";
const catalogues: Record<Language, () => Promise<{ default: Words }>> = {
  en: () => import("../../locales/en.po"),
  zh: () => import("../../locales/zh.po"),
};
const heard = new Set<() => void>();
let current: { language: Language; words: Words } = { language: "en", words: {} };

export const LANGUAGES: readonly (readonly [Language, string])[] = [["en", "English"], ["zh", "中文"]];

/** What this device keeps; a browser that blocks cookies lets nothing be kept, and refuses to be asked. */
function remembered(): string | null {
  try {
    return localStorage.getItem(KEPT_AS);
  } catch {
    return null;
  }
}

function remember(language: Language): void {
  try {
    localStorage.setItem(KEPT_AS, language);
  } catch {
    return;
  }
}

export function firstLanguage(): Language {
  const kept = remembered();
  if (kept === "en" || kept === "zh") return kept;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** Speaks another language from now on; what somebody chose is kept on this device. */
export async function speak(language: Language, chosen = false): Promise<void> {
  const { default: words } = await catalogues[language]();
  current = { language, words };
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  if (chosen) remember(language);
  heard.forEach((tell) => tell());
}

/** A text in the current language; `{name}` in it is replaced. */
export function t(text: string, values: Record<string, string | number> = {}): string {
  return (current.words[text] ?? text).replace(/\{(\w+)\}/g, (all, name: string) => String(values[name] ?? all));
}

export function spoken(): Language {
  return current.language;
}

/** Lets a component speak, and speak again when the language changes. */
export function useLanguage(): Language {
  return useSyncExternalStore(
    (tell) => {
      heard.add(tell);
      return () => heard.delete(tell);
    },
    () => current.language,
  );
}
