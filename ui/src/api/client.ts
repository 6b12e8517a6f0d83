// How the app asks the platform API. An answer that asks for more (a sign-in that has ended, a step-up) is met by asking
// the person in a dialog over what they were doing, and then sending the same once more: nothing typed is lost.
import createClient from "openapi-fetch";

import type { paths } from "./schema";

/** A refusal as RFC 9457 says it; `code` is ours. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly hint = "",
    readonly param = "",
    readonly reason = "",
  ) {
    super(code);
  }
}

export type Proof = "sign-in" | "step-up";
type Prove = (what: Proof) => Promise<boolean>;

const ASKS: Record<string, Proof> = { not_signed_in: "sign-in", step_up_needed: "step-up", not_confirmed: "step-up" };
/** Routes at which a refusal is the answer, and not a reason to ask who is there. */
const PLAIN = ["/api/auth/"];

let prove: Prove = async () => false;
let wasSignedIn = false;

/** Names the dialog that lets somebody show who they are. */
export function proveWith(dialog: Prove): void {
  prove = dialog;
}

/** Says whether somebody is signed in: only then an ended session is asked for anew. */
export function signedIn(now: boolean): void {
  wasSignedIn = now;
}

async function ask(request: Request): Promise<Response> {
  const again = request.clone();
  const answer = await reach(request);
  if (answer.ok || PLAIN.some((path) => new URL(request.url).pathname.startsWith(path))) return answer;
  const wanted = ASKS[(await refusal(answer.clone())).code];
  if (wanted === undefined || (wanted === "sign-in" && !wasSignedIn)) return answer;
  return (await prove(wanted)) ? reach(again) : answer;
}

async function reach(request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch {
    throw new Refusal(0, "unreachable", "The platform cannot be reached.");
  }
}

/** What an answer refuses, whoever wrote it: the API's problem details, OpenAI's error, or neither. */
export async function refusal(answer: Response): Promise<Refusal> {
  const body: unknown = await answer.json().catch(() => ({}));
  const said = isRecord(body) && isRecord(body.error) ? body.error : isRecord(body) ? body : {};
  const text = (name: string) => (typeof said[name] === "string" ? said[name] : "");
  const code = text("code") || (answer.status >= 500 ? "unreachable" : "refused");
  return new Refusal(answer.status, code, text("detail") || text("message"), text("hint"), text("param"), text("reason"));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

export const api = createClient<paths>({ fetch: ask });

interface Answered<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The body of an answer; throws Refusal for anything but success. */
export async function told<T>(asked: Promise<Answered<T>>): Promise<T> {
  const { data, error, response } = await asked;
  if (response.ok) return data as T;
  throw error instanceof Refusal ? error : await refusal(new Response(JSON.stringify(error ?? {}), response));
}
