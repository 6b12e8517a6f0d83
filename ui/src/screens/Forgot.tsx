// A forgotten password: a message is asked for; its link leads to a page that needs no app.
import { Button } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useState } from "react";

import { api, told } from "../api/client";
import { EmailField } from "../parts/EmailField";
import { Entrance } from "../parts/Entrance";
import { useOnce } from "../parts/once";
import { Problem } from "../parts/Page";
import { t, useLanguage } from "../words/language";

export function Forgot() {
  useLanguage();
  const [email, setEmail] = useState("");
  const asked = useOnce({ mutationFn: () => told(api.POST("/api/auth/reset", { body: { email } })) });
  const back = <Link to="/sign-in" search={{}}>{t("Back to sign in")}</Link>;
  if (asked.isSuccess) {
    return (
      <Entrance key="sent" title={t("Look into your mailbox")} below={back}>
        <p role="status">
          {t("If this address has an account, a message with a link is on its way. The link works once, within an hour.")}
        </p>
      </Entrance>
    );
  }
  return (
    <Entrance title={t("Choose a new password")} lead={t("A message with a link goes to your address.")} submit={asked.submit} below={back}>
      <EmailField value={email} set={setEmail} />
      <Problem error={asked.error} />
      <Button type="submit" size="md" fullWidth loading={asked.isPending}>
        {t("Send the message")}
      </Button>
    </Entrance>
  );
}
