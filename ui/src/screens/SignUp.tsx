// Signing up: what the policy lists and nothing else, then straight in, or to the mailbox where that comes first.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";

import { Refusal, api, told } from "../api/client";
import { Entrance } from "../parts/Entrance";
import { Newcomer, asked } from "../parts/Newcomer";
import { Loaded } from "../parts/Page";
import { t, useLanguage } from "../words/language";

export function SignUp() {
  useLanguage();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const form = useQuery(asked);
  const [sentTo, setSentTo] = useState("");
  const below = (
    <>
      {t("You have an account?")} <Link to="/sign-in" search={{}}>{t("Sign in")}</Link>
    </>
  );
  if (sentTo) {
    return (
      <Entrance key="sent" title={t("Look into your mailbox")} below={below}>
        <p role="status">{t("A message was sent to {email}. Follow its link, then sign in.", { email: sentTo })}</p>
      </Entrance>
    );
  }
  const send = async (given: Record<string, unknown>) => {
    await told(api.POST("/api/auth/signup", { body: given }));
    const [email, password] = [String(given.email ?? ""), String(given.password)];
    try {
      await told(api.POST("/api/auth/login", { body: { email, password } }));
    } catch (wrong) {
      if (wrong instanceof Refusal && wrong.status === 401) return setSentTo(email);
      throw wrong;
    }
    queries.clear();
    await navigate({ to: "/" });
  };
  return (
    <Entrance title={t("Create an account")} below={below} lead={t("Nothing is asked for that the policy does not list.")}>
      <Loaded of={form}>{(found) => <Newcomer asked={found} go={t("Create the account")} send={send} />}</Loaded>
    </Entrance>
  );
}
