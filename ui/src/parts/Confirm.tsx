// A question before something that cannot be undone. Its button works once: a double click does nothing twice.
import { Button, Group, Modal } from "@mantine/core";
import type { ReactNode } from "react";

import { t } from "../words/language";
import { useOnce } from "./once";
import { Problem } from "./Page";

export function Confirm(props: {
  opened: boolean;
  title: string;
  go: string;
  run: () => Promise<unknown>;
  close: () => void;
  children: ReactNode;
  ready?: boolean;
}) {
  const running = useOnce({ mutationFn: props.run, onSuccess: props.close });
  const close = () => {
    running.reset();
    props.close();
  };
  return (
    <Modal opened={props.opened} onClose={close} title={props.title} closeButtonProps={{ "aria-label": t("Close") }}>
      <div className="stack">
        {props.children}
        <Problem error={running.error} />
        <Group justify="flex-end" gap="sm">
          <Button variant="default" onClick={close}>
            {t("Cancel")}
          </Button>
          <Button className="danger" onClick={() => running.run()} loading={running.isPending} disabled={props.ready === false}>
            {props.go}
          </Button>
        </Group>
      </div>
    </Modal>
  );
}
