// Something that is sent once: a second click does nothing, even before the first has changed what is on the screen.
import { useMutation } from "@tanstack/react-query";
import { useRef } from "react";

export interface Once<V> {
  run: (value: V) => void;
  isPending: boolean;
  isDone: boolean;
  error: unknown;
  reset: () => void;
}

export function useOnce<V = void, T = unknown>(act: (value: V) => Promise<T>, done?: (made: T) => unknown): Once<V> {
  const busy = useRef(false);
  const sending = useMutation({
    mutationFn: async (value: V) => {
      try {
        return await act(value);
      } finally {
        busy.current = false;
      }
    },
    onSuccess: done,
  });
  const run = (value: V) => {
    if (busy.current) return;
    busy.current = true;
    sending.mutate(value);
  };
  return { run, isPending: sending.isPending, isDone: sending.isSuccess, error: sending.error, reset: sending.reset };
}
