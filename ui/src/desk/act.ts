// An act of staff: sent once, however often its button is hit, and followed by what shows what it did.
import { useOnce } from "../parts/once";

export function useAct<V = void, T = unknown>(act: (value: V) => Promise<T>, done?: (made: T) => unknown) {
  return useOnce<T, V>({ mutationFn: act, ...(done ? { onSuccess: done } : {}) });
}
