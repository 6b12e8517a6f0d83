// A list as rows between hairlines: what is there, what stands in its place while nothing is, and the way to more.
import { Button } from "@mantine/core";
import type { ReactNode } from "react";

import type { Listed, More as Pages } from "../api/paged";
import { t } from "../words/language";
import { Loaded, Problem } from "./Page";

/** `row` draws one, with its key; `none` stands where there is none. */
export function Rows<R>(props: { of: Listed<R>; row: (row: R) => ReactNode; none?: ReactNode; lines?: number }) {
  return (
    <Loaded of={props.of} lines={props.lines}>
      {(rows) =>
        rows.length === 0 ? (
          props.none
        ) : (
          <>
            <ul className="rows">{rows.map(props.row)}</ul>
            <More of={props.of.more} />
          </>
        )
      }
    </Loaded>
  );
}

/** One row: what it is, what is to be said of it, and at its end a state or what can be done with it. */
export function Row(props: { title: ReactNode; note?: ReactNode; end?: ReactNode; children?: ReactNode }) {
  return (
    <li className="row">
      <div className="row-main">
        <p className="row-title">{props.title}</p>
        {props.note && <div className="row-note">{props.note}</div>}
        {props.children}
      </div>
      {props.end}
    </li>
  );
}

/** The way to the next page, where there is one. */
export function More({ of: more }: { of: Pages | undefined }) {
  if (!more?.isThere) return null;
  return (
    <div className="stack">
      <Problem error={more.error} />
      <div>
        <Button variant="default" size="xs" loading={more.isComing} onClick={more.ask}>
          {t("Show more")}
        </Button>
      </div>
    </div>
  );
}
