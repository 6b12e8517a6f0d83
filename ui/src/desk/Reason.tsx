// Why somebody of the staff looks or acts. It is sealed beside the act, and whom it concerns can read it.
import { TextInput } from "@mantine/core";

import { t } from "../words/language";

const CHARS_MAX = 2000;

export function Reason(props: { value: string; set: (reason: string) => void; isOfPlatform?: boolean }) {
  return (
    <TextInput
      size="sm"
      label={t("Reason")}
      description={props.isOfPlatform ? t("It stands on the platform's record.") : t("The person concerned can read it.")}
      required
      withAsterisk={false}
      maxLength={CHARS_MAX}
      dir="auto"
      value={props.value}
      onChange={(event) => props.set(event.currentTarget.value)}
    />
  );
}
