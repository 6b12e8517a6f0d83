// The licences of everything that is in the build, in one file beside it: /app/assets/licences.txt.
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

interface Lock {
  packages: Record<string, { version?: string; license?: string; dev?: boolean }>;
}

export function licences(): Plugin {
  let root = "";
  let folder = "";
  return {
    name: "licences",
    apply: "build",
    configResolved(config) {
      root = config.root;
      folder = join(root, config.build.outDir, config.build.assetsDir);
    },
    closeBundle() {
      const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as Lock;
      const inside = Object.entries(packages).filter(([place, { dev }]) => place && !dev && existsSync(join(root, place)));
      const told = inside.map(([place, { version, license }]) => `${place.replace(/^.*node_modules\//, "")} ${version} (${license})\n\n${text(join(root, place))}`);
      writeFileSync(join(folder, "licences.txt"), told.join("\n\n----\n\n"));
    },
  };
}

function text(place: string): string {
  const name = readdirSync(place).find((each) => /^licen[cs]e/i.test(each));
  return name ? readFileSync(join(place, name), "utf8").trim() : "";
}
