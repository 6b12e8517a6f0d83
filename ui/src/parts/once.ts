// Doing something once. What a mutation knows of itself (isPending) is only there after the next drawing, for which the
// second half of a double click does not wait; and a dialog that is closing can still be clicked.
import { type UseMutationOptions, useMutation } from "@tanstack/react-query";
import { type FormEvent, useRef } from "react";

/** How far apart the two halves of one double click are at most. */
const DOUBLE_CLICK_MS = 500;

/** A mutation that is begun with `run` (or, by a form, with `submit`): while it runs, and for a double click, only once. */
export function useOnce<T, V = void>(options: UseMutationOptions<T, Error, V>) {
  const last = useRef({ isRunning: false, begunAt: -Infinity });
  const mutation = useMutation<T, Error, V>({
    ...options,
    onSettled: (...told) => {
      last.current.isRunning = false;
      return options.onSettled?.(...told);
    },
  });
  const run = (value: V) => {
    const now = performance.now();
    if (last.current.isRunning || now - last.current.begunAt < DOUBLE_CLICK_MS) return;
    last.current = { isRunning: true, begunAt: now };
    (mutation.mutate as (value: V) => void)(value);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    run(undefined as V);
  };
  /** Whether it runs now, known before the next drawing. */
  const isRunning = () => last.current.isRunning;
  return { ...mutation, run, submit, isRunning };
}
