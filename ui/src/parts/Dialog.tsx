// Dialogs over what somebody is doing: one that shows something, and one that asks before something is done.
import { Button, Group, Modal } from "@mantine/core";
import { type ReactNode, createContext, useContext, useEffect, useRef, useState } from "react";

import { t } from "../words/language";
import { useOnce } from "./once";
import { Problem } from "./Page";

interface Shown {
  title: string;
  /** Called when it is gone; whoever shows the dialog takes it away then. */
  close: () => void;
  size?: "lg" | "xl";
  children?: ReactNode;
}

interface Frame {
  isOpen: boolean;
  leave: () => void;
}

const Leaving = createContext<() => void>(() => undefined);

/** Leaves the dialog in which a component stands. */
export function useLeave(): () => void {
  return useContext(Leaving);
}

/** Shows something; it is there as long as it is drawn. */
export function Dialog(props: Shown & { isHeld?: boolean }) {
  return <Around {...props} frame={useFrame()} />;
}

interface Question<T> extends Shown {
  /** The word on the button that does it. */
  go: string;
  run: () => Promise<T>;
  /** What follows once it is done, before the dialog goes. */
  done?: (made: T) => unknown;
  /** Whether all that it needs was given. */
  isReady?: boolean;
  isDangerous?: boolean;
}

/** Asks before something is done: `children` are what happens, and the fields. A refusal is told inside, and leaves them as
 * they are; while it is done, nothing but its end closes the dialog, and a double click does nothing twice. */
export function Ask<T>({ go, run, done, isReady = true, isDangerous = false, children, ...shown }: Question<T>) {
  const frame = useFrame();
  const button = useRef<HTMLButtonElement>(null);
  const running = useOnce<T>({
    mutationFn: run,
    onSuccess: async (made) => {
      await done?.(made);
      frame.leave();
    },
  });
  const { error, isPending } = running;
  const leave = () => {
    if (!running.isRunning()) frame.leave();
  };
  useEffect(() => {
    if (error) button.current?.focus(); // a button that was busy has lost the keyboard
  }, [error]);
  return (
    <Around {...shown} frame={{ ...frame, leave }} isHeld={isPending}>
      <form className="stack" onSubmit={running.submit}>
        {children}
        <Problem error={error} />
        <Group justify="flex-end" gap="sm">
          <Button variant="default" onClick={leave} disabled={isPending}>
            {t("Cancel")}
          </Button>
          <Button ref={button} type="submit" className={isDangerous ? "danger" : undefined} loading={isPending} disabled={!isReady}>
            {go}
          </Button>
        </Group>
      </form>
    </Around>
  );
}

function useFrame(): Frame {
  const [isOpen, setOpen] = useState(false);
  useEffect(() => setOpen(true), []); // from closed to open, so that it fades in
  return { isOpen, leave: () => setOpen(false) };
}

/** A click beside it leaves it as it is: what was typed would be lost. */
function Around({ title, close, size, isHeld = false, frame, children }: Shown & { isHeld?: boolean; frame: Frame }) {
  useGivingBack();
  return (
    <Modal
      opened={frame.isOpen}
      onClose={frame.leave}
      onExitTransitionEnd={close}
      title={title}
      size={size}
      withCloseButton={!isHeld}
      closeOnEscape={!isHeld}
      closeOnClickOutside={false}
      returnFocus={false}
      closeButtonProps={{ "aria-label": t("Close") }}
    >
      <Leaving value={frame.leave}>{children}</Leaving>
    </Modal>
  );
}

/** Gives the keyboard back to where it was; who came from a menu, which is gone by then, to what opens it. */
function useGivingBack(): void {
  const [before] = useState(() => document.activeElement);
  const [opener] = useState(() => before?.closest("[role=menu]")?.getAttribute("aria-labelledby"));
  useEffect(
    () => () => {
      const place = before?.isConnected ? before : opener ? document.getElementById(opener) : null;
      if (place instanceof HTMLElement) place.focus({ preventScroll: true });
    },
    [before, opener],
  );
}
