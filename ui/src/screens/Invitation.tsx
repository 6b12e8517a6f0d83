// Coming into an organisation by the link of an invitation; its token stands behind the #, which no server sees.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";

import { api, told } from "../api/client";
import { Entrance } from "../parts/Entrance";
import { Newcomer, asked } from "../parts/Newcomer";
import { Loaded } from "../parts/Page";
import { t, useLanguage } from "../words/language";

export function Invitation() {
  useLanguage();
  const form = useQuery(asked);
  const [token] = useState(() => location.hash.slice(1));
  const [isIn, setIsIn] = useState(false);
  const enter = <Link to="/sign-in" search={{}}>{t("Sign in")}</Link>;
  if (!token) {
    return (
      <Entrance title={t("This is no whole invitation")} below={enter}>
        <p>{t("Open the link of the message once more, or copy all of it.")}</p>
      </Entrance>
    );
  }
  if (isIn) {
    return (
      <Entrance key="in" title={t("You belong to it now")}>
        <p role="status">
          {t("Your account is there. Sign in with your address and the password that you chose.")} {enter}
        </p>
      </Entrance>
    );
  }
  const send = async (given: Record<string, unknown>) => {
    await told(api.POST("/api/invitations/accept", { body: { ...given, token } }));
    setIsIn(true);
  };
  return (
    <Entrance title={t("Accept the invitation")} lead={t("Somebody invites you to their organisation. Your address is known from the message.")}>
      <Loaded of={form}>{(found) => <Newcomer asked={found} without={["email"]} go={t("Join")} send={send} />}</Loaded>
    </Entrance>
  );
}
