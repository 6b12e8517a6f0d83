// Passkeys as the browser has them; the platform's routes give and take the JSON forms of WebAuthn Level 3.
import { Refusal, api, told } from "./client";

export function hasPasskeys(): boolean {
  return typeof PublicKeyCredential === "function" && "parseRequestOptionsFromJSON" in PublicKeyCredential;
}

export async function signInWithPasskey(): Promise<unknown> {
  const options = await told(api.POST("/api/auth/passkey/begin"));
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(inner(options) as never);
  const credential = await chosen(() => navigator.credentials.get({ publicKey }));
  return told(api.POST("/api/auth/passkey", { body: { credential } }));
}

export async function addPasskey(name: string): Promise<unknown> {
  const options = await told(api.POST("/api/me/passkeys/begin"));
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(inner(options) as never);
  const credential = await chosen(() => navigator.credentials.create({ publicKey }));
  return told(api.POST("/api/me/passkeys", { body: { credential, name } }));
}

function inner(options: Record<string, unknown>): unknown {
  return options.publicKey ?? options;
}

async function chosen(ask: () => Promise<Credential | null>): Promise<Record<string, unknown>> {
  const made = await ask().catch(() => null);
  if (!(made instanceof PublicKeyCredential)) throw new Refusal(0, "passkey_cancelled", "No passkey was chosen.");
  return made.toJSON() as unknown as Record<string, unknown>;
}
