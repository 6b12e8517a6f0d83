// Where an e-mail address is asked for.
import { TextInput } from "@mantine/core";

import { t } from "../words/language";

/** One's own address, which browsers fill in, or, with `isOfAnother`, somebody else's, which they do not. */
export function EmailField(props: { value: string; set: (address: string) => void; isOfAnother?: boolean }) {
  return (
    <TextInput
      label={t("E-mail address")}
      type="email"
      autoComplete={props.isOfAnother ? "off" : "username"}
      required
      withAsterisk={false}
      value={props.value}
      onChange={(event) => props.set(event.currentTarget.value)}
    />
  );
}
