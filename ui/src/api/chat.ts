// Talking to a model as any client does: over /v1 with a key. The key is made for this tab when it is first needed, ends
// within a day, and is forgotten when the tab closes or its person signs out.
import { api, refusal, told } from "./client";

export interface Turn {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface Asked {
  model: string;
  messages: Turn[];
  temperature: number;
  max_tokens: number;
}

export interface Told {
  text: (piece: string) => void;
  cost: (amount: string) => void;
  stored: (until: string | null, isStored: boolean) => void;
}

const KEPT_AS = "avow.playground";
const LASTS_MS = 24 * 3_600_000;
const WORKS_FOR_MS = LASTS_MS - 60_000;

interface TabKey {
  secret: string;
  until: number;
}

export async function tabKey(): Promise<string> {
  const known = JSON.parse(sessionStorage.getItem(KEPT_AS) ?? "null") as TabKey | null;
  if (known && known.until > Date.now()) return known.secret;
  const expires_at = new Date(Date.now() + LASTS_MS).toISOString();
  const { secret } = await told(api.POST("/api/keys", { body: { name: "Playground", scopes: ["inference"], expires_at } }));
  sessionStorage.setItem(KEPT_AS, JSON.stringify({ secret, until: Date.now() + WORKS_FOR_MS }));
  return secret;
}

async function call(path: string, init: RequestInit): Promise<Response> {
  const send = async () => {
    const headers = { ...init.headers, authorization: `Bearer ${await tabKey()}` };
    return fetch(path, { ...init, headers });
  };
  let answer = await send();
  if (answer.status === 401) {
    sessionStorage.removeItem(KEPT_AS); // revoked meanwhile: a new one is made once
    answer = await send();
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

export async function models(): Promise<string[]> {
  const answer = (await (await call("/v1/models", {})).json()) as { data: { id: string }[] };
  return answer.data.map((each) => each.id);
}

/** Streams one answer; `keep_h` 0 asks for nothing to be stored. Ends early, and without an error, when it is stopped. */
export async function chat(asked: Asked, keepH: number | null, signal: AbortSignal, tell: Told): Promise<void> {
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (keepH !== null) headers["avow-retention"] = String(keepH);
  const answer = await call("/v1/chat/completions", {
    method: "POST",
    headers,
    body: JSON.stringify({ ...asked, stream: true }),
    signal,
  });
  tell.stored(answer.headers.get("avow-expires-at"), isYes(answer.headers.get("avow-stored")));
  for await (const line of lines(answer)) {
    if (line.startsWith(": avow-cost ")) tell.cost(line.slice(": avow-cost ".length));
    else if (line.startsWith("data: {")) tell.text(delta(line.slice("data: ".length)));
  }
}

function isYes(stored: string | null): boolean {
  return stored !== null && !["none", ""].includes(stored);
}

function delta(data: string): string {
  const event = JSON.parse(data) as { choices?: { delta?: { content?: string | null } }[]; error?: { message?: string } };
  return event.choices?.[0]?.delta?.content ?? "";
}

async function* lines(answer: Response): AsyncGenerator<string> {
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    const whole = (rest + part.value).split("\n");
    rest = whole.pop() ?? "";
    yield* whole;
  }
  if (rest) yield rest;
}
