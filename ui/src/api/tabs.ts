// What the tabs of one browser tell each other, so that none goes on showing what is not so any more.
export type News = { what: "entered"; id: string } | { what: "left" } | { what: "changed" };

const channel = new BroadcastChannel("avow");

export function tellTabs(news: News): void {
  channel.postMessage(news);
}

/** Hears the other tabs until the function that it gives is called. */
export function hearTabs(hear: (news: News) => void): () => void {
  const listen = (event: MessageEvent<News>) => hear(event.data);
  channel.addEventListener("message", listen);
  return () => channel.removeEventListener("message", listen);
}
