import "@fontsource-variable/geist/index.css";
import "@fontsource-variable/newsreader/index.css";
import "@mantine/core/styles.css";
import "./tokens.css";
import "./look.css";

import { MantineProvider } from "@mantine/core";
import { MutationCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { setNonce } from "get-nonce";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { Refusal } from "./api/client";
import { tellTabs } from "./api/tabs";
import { Prove } from "./parts/Prove";
import { makeRouter } from "./routes";
import { theme, variables } from "./theme";
import { firstLanguage, speak } from "./words/language";

const RETRIES = 2;
const nonce = document.querySelector<HTMLMetaElement>("meta[property=csp-nonce]")?.nonce ?? "";
setNonce(nonce);

const queries = new QueryClient({
  mutationCache: new MutationCache({ onSuccess: () => tellTabs({ what: "changed" }) }),
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      retry: (count, error) => count < RETRIES && (!(error instanceof Refusal) || error.status === 0 || error.status >= 500),
    },
  },
});
const router = makeRouter(queries);

void speak(firstLanguage()).then(() =>
  createRoot(document.getElementById("root") as HTMLElement).render(
    <StrictMode>
      <MantineProvider theme={theme} cssVariablesResolver={variables} defaultColorScheme="auto" getStyleNonce={() => nonce}>
        <QueryClientProvider client={queries}>
          <RouterProvider router={router} />
          <Prove />
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>,
  ),
);
