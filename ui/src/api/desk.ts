// What the screens of the desk share of what the API tells them.
import type { components } from "./schema";

export type Account = components["schemas"]["Account"];
export type Waiting = components["schemas"]["Waiting"];
