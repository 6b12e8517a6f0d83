// Coming to a screen: the window is named after it, and whoever came from another screen is led to its heading, so that
// keyboards and screen readers go on there and not where the screen before was left.
import { useEffect, useRef } from "react";

let hasArrived = false;

export function useArrival(title: string) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · Avow`;
  }, [title]);
  useEffect(() => {
    if (hasArrived) heading.current?.focus({ preventScroll: true });
    hasArrived = true;
  }, []);
  return heading;
}
