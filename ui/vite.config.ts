import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

import { catalogue } from "./build/catalogue.ts";
import { licences } from "./build/licences.ts";
import { packed } from "./build/packed.ts";

export default defineConfig({
  base: "/app/",
  plugins: [react(), catalogue(), packed(), licences()],
  html: { cspNonce: "NONCE" },
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, manifest: "manifest.json" },
  server: { proxy: { "/api": "http://127.0.0.1:8080", "/v1": "http://127.0.0.1:8080" } },
});
