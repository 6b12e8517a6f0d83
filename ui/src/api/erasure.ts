// An erasure that was asked for in this tab: its id and the token of its receipt, which outlive the account.
import { Refusal, api, told } from "./client";
import type { components } from "./schema";

export interface Erasure {
  id: string;
  token: string;
}

export interface Receipt {
  times: Record<string, string>;
  stores: ReceiptStore[];
  [more: string]: unknown;
}

export interface ReceiptStore {
  store: string;
  categories: string[];
  ending: string;
  facts: number;
  kept_until?: string | null;
}

export type Progress = components["schemas"]["Progress"];

const KEPT_AS = "avow.erasure";

export function begin(erasure: Erasure): void {
  sessionStorage.clear();
  sessionStorage.setItem(KEPT_AS, JSON.stringify(erasure));
}

export function begun(): Erasure | null {
  return JSON.parse(sessionStorage.getItem(KEPT_AS) ?? "null") as Erasure | null;
}

const proof = (of: Erasure) => ({ path: { id: of.id }, header: { "avow-receipt-token": of.token } });

/** How far it came, store by store. */
export function progress(of: Erasure): Promise<Progress> {
  return told(api.GET("/api/privacy/receipts/{id}/progress", { params: proof(of) }));
}

/** The signed receipt, byte for byte; null while the erasure is still running. */
export async function receipt(of: Erasure): Promise<string | null> {
  const asked = { params: proof(of), parseAs: "text" as const };
  try {
    return (await told(api.GET("/api/privacy/receipts/{id}", asked))) as unknown as string;
  } catch (wrong) {
    if (wrong instanceof Refusal && wrong.status === 404) return null;
    throw wrong;
  }
}
