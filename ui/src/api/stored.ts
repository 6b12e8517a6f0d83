// What is stored about the person who asks, by category.
import { queryOptions } from "@tanstack/react-query";

import { api, told } from "./client";
import type { components } from "./schema";

export type Stored = components["schemas"]["Stored"];

export const stored = queryOptions({ queryKey: ["stored"], queryFn: () => told(api.GET("/api/privacy/data")) });
