// What stands where there is no screen, and where one broke.
import { Button } from "@mantine/core";
import { Link } from "@tanstack/react-router";

import { t, useLanguage } from "../words/language";
import { Page, Problem } from "./Page";

export function Missing() {
  useLanguage();
  return (
    <main className="alone">
      <Page title={t("There is no such page")} lead={t("The address leads nowhere, or not any more.")}>
        <Link to="/">{t("Go to the start")}</Link>
      </Page>
    </main>
  );
}

export function Broken({ error, reset }: { error: unknown; reset: () => void }) {
  useLanguage();
  return (
    <main className="alone">
      <Page title={t("This did not load")}>
        <Problem error={error} />
        <Button onClick={() => (reset(), location.reload())}>{t("Try again")}</Button>
      </Page>
    </main>
  );
}
