// The addresses of the app. Every screen but the frame is loaded when it is first looked at.
import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from "@tanstack/react-router";

import { Refusal, signedIn } from "./api/client";
import { me } from "./api/me";
import { Frame } from "./parts/Frame";
import { Broken, Missing } from "./parts/Missing";

const ENTRANCES = ["/sign-in", "/sign-up", "/forgot"];

export function makeRouter(queries: QueryClient) {
  const root = createRootRoute({ notFoundComponent: Missing, errorComponent: Broken });
  const entrance = <P extends string>(path: P, load: () => Promise<Record<string, unknown>>, name: string) =>
    createRoute({ getParentRoute: () => root, path, component: lazyRouteComponent(load as never, name as never) });
  const inside = createRoute({
    getParentRoute: () => root,
    id: "inside",
    component: Frame,
    errorComponent: Broken,
    beforeLoad: async ({ location }) => {
      try {
        await queries.ensureQueryData(me);
      } catch (wrong) {
        if (!(wrong instanceof Refusal) || wrong.status !== 401) throw wrong;
        signedIn(false);
        const next = ENTRANCES.includes(location.pathname) || location.pathname === "/" ? {} : { next: location.pathname };
        throw redirect({ to: "/sign-in", search: next });
      }
    },
  });
  const screen = <P extends string>(path: P, load: () => Promise<Record<string, unknown>>, name: string) =>
    createRoute({ getParentRoute: () => inside, path, component: lazyRouteComponent(load as never, name as never) });

  const desk = createRoute({
    getParentRoute: () => inside,
    path: "/desk",
    component: lazyRouteComponent(() => import("./desk/Desk"), "Desk"),
  });
  const atDesk = <P extends string>(path: P, load: () => Promise<Record<string, unknown>>, name: string) =>
    createRoute({ getParentRoute: () => desk, path, component: lazyRouteComponent(load as never, name as never) });

  return createRouter({
    basepath: "/app",
    defaultPreload: "intent",
    scrollRestoration: true,
    routeTree: root.addChildren([
      entrance("/sign-in", () => import("./screens/SignIn"), "SignIn"),
      entrance("/sign-up", () => import("./screens/SignUp"), "SignUp"),
      entrance("/forgot", () => import("./screens/Forgot"), "Forgot"),
      entrance("/invitation", () => import("./screens/Invitation"), "Invitation"),
      entrance("/erased", () => import("./screens/Erased"), "Erased"),
      inside.addChildren([
        screen("/", () => import("./screens/Home"), "Home"),
        screen("/playground", () => import("./screens/Playground"), "Playground"),
        screen("/keys", () => import("./screens/Keys"), "Keys"),
        screen("/requests", () => import("./screens/Requests"), "Requests"),
        screen("/usage", () => import("./screens/Usage"), "Usage"),
        screen("/privacy", () => import("./screens/Privacy"), "Privacy"),
        screen("/organisation", () => import("./screens/Organisation"), "Organisation"),
        screen("/wallet", () => import("./screens/Wallet"), "Wallet"),
        screen("/settings", () => import("./screens/Settings"), "Settings"),
        desk.addChildren([
          atDesk("/", () => import("./desk/Today"), "Today"),
          atDesk("/requests", () => import("./desk/Requests"), "Requests"),
          atDesk("/policy", () => import("./desk/Policy"), "Policy"),
          atDesk("/policy/$id", () => import("./desk/Plan"), "Plan"),
          atDesk("/evidence", () => import("./desk/Evidence"), "Evidence"),
          atDesk("/registers", () => import("./desk/Registers"), "Registers"),
          atDesk("/incidents", () => import("./desk/Incidents"), "Incidents"),
          atDesk("/upstreams", () => import("./desk/Upstreams"), "Upstreams"),
          atDesk("/models", () => import("./desk/Models"), "Models"),
          atDesk("/limits", () => import("./desk/Limits"), "Limits"),
          atDesk("/accounts", () => import("./desk/Accounts"), "Accounts"),
          atDesk("/record", () => import("./desk/Record"), "Record"),
          atDesk("/retention", () => import("./desk/Retention"), "Retention"),
          atDesk("/jobs", () => import("./desk/Jobs"), "Jobs"),
        ]),
      ]),
    ]),
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
