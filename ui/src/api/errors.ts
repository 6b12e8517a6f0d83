// Refusals in the reader's language. English is what the API says itself; the others are translated by their code, and
// what has no translation is shown as the API said it.
import { spoken, t } from "../words/language";
import { Refusal } from "./client";

const SAID: Record<string, (reason: string) => string> = {
  unreachable: () => t("The platform cannot be reached. Your input is still here; try again in a moment."),
  cookie_missing: () => t("Your browser did not keep the cookie that says who is signed in. Allow cookies for this site and sign in again; the public pages work without."),
  sign_in_refused: () => t("This e-mail address and password do not belong together."),
  sign_in_slowed: () => t("There were too many wrong passwords for this address. Wait a little, then try again."),
  second_factor_refused: () => t("This code is not right, is too old, or was used already."),
  step_up_refused: () => t("This is not the password or a code of this account."),
  field_refused: () => t("A field cannot be taken as it is."),
  password_refused: () => t("This password is too easy to guess. A longer one is better: 15 characters or more."),
  too_young: () => t("This service is for older people. Nothing was stored."),
  not_agreed: () => t("Nobody can sign up here without agreeing to the policy. Nothing was stored."),
  network_slowed: () => t("There were too many attempts from this network. Try again later."),
  mailbox_slowed: () => t("Messages were sent to this address a moment ago. Look into your mailbox."),
  not_permitted: () => t("Your role does not allow this."),
  too_many_keys: () => t("You have as many active keys as one person can have. Revoke one that is not used."),
  keep_refused: () => t("The policy does not allow content to be kept that long."),
  not_found: () => t("This is not there, or not any more."),
  already_asked: () => t("You have asked for this already; that request is still open."),
  requests_slowed: () => t("You made many requests of this kind today. What you asked stands; ask again tomorrow. An erasure is always taken."),
  too_many_open: () => t("So many of your requests are open that another one has to wait until one is answered."),
  last_owner: () => t("You are the only owner of an organisation with other people. Make somebody else an owner first."),
  copy_gone: () => t("This copy was fetched or has expired. Ask for a new one."),
  code_refused: () => t("This code is not right. Check the clock of the device and send the code it shows now."),
  recovery_codes_slowed: () => t("Recovery codes were made very often. Those that you have go on working; try again later."),
  passkey_refused: () => t("This passkey is not known here. Sign in with your password."),
  insufficient_quota: () => t("There is not enough money in the wallet. Nothing was charged."),
  address_not_confirmed: () => t("Your address is not confirmed yet. Follow the link in the message that was sent at sign-up."),
  policy_not_accepted: () => t("A new version of the policy waits for you. Accept it to go on."),
  provider_not_linked: () => t("This address has an account here that is not linked with the provider. Sign in another way, then link it in the settings."),
  provider_refused: () => t("What came back from the provider was not accepted. Begin once more."),
  provider_silent: () => t("The provider does not answer as it should. Try again later, or sign in with your password."),
  provider_address_unverified: () => t("The provider has not verified your e-mail address. Verify it there, or sign up here with a password."),
  provider_tells_too_little: () => t("A sign-up here asks for more than the provider tells. Sign up with a password, then link the provider."),
  identity_taken: () => t("This identity is linked with another account already."),
  too_many_ceremonies: () => t("Very many people are coming in at the moment. Try again in two minutes, or sign in with your password."),
  ceremony_refused: () => t("This way in has ended or was begun in another window. Begin once more."),
  invitation_refused: () => t("This invitation is not known, was used or withdrawn, or is too old. Ask for another one."),
  address_has_account: () => t("This address has an account already, and an account belongs to one organisation."),
  already_appealed: () => t("This decision is being looked at already."),
  project_archived: () => t("This project is archived. Choose another, or have it taken out of the archive."),
  too_many_invitations: () => t("Your organisation has as many open invitations as it can have."),
  invitations_slowed: () => t("Your organisation has sent many invitations. Wait a little."),
  price_not_by_tokens: () => t("This model is not paid by tokens. Its price is set at the terminal: avow model add."),
  upstream_moved: () => t("Somebody else changed this upstream meanwhile. Nothing was changed; close this, look at what it is now, and make your change to that."),
  route_moved: () => t("Somebody else changed this route meanwhile. Nothing was changed; close this, look at what it is now, and make your change to that."),
  credential_stays: () => t("The address is another server's. Give its API key too: the one that is kept is not sent there. Nothing was changed."),
  party_unsaid: () => t("The new address is outside this house. Name the party, as the policy does. Nothing was changed."),
  handling_below_policy: (reason) => t("This upstream gets requests, and would not be as the policy says in public: {reason}. Nothing was changed. If that is how it is, let no new requests go there first, or change the policy.", { reason }),
  second_factor_missing: () => t("Staff need a second factor. Set one up in the settings, then come back."),
};

/** A sentence for a person, and whether it is in English whatever the language. */
export function sentence(error: unknown): { text: string; isEnglish: boolean } {
  if (!(error instanceof Refusal)) return { text: t("Something went wrong here. Reload the page; if it stays, tell us."), isEnglish: false };
  const known = SAID[error.code];
  const plain = [error.detail, error.hint].filter(Boolean).join(" ");
  if (known && (spoken() !== "en" || error.code === "unreachable" || !plain)) return { text: known(error.reason), isEnglish: false };
  return plain ? { text: plain, isEnglish: spoken() !== "en" } : { text: t("This was refused."), isEnglish: false };
}
