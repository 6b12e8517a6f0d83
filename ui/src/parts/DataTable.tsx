// A table of rows with what stands in each column, and the way to more of them. On a narrow screen each row stands as lines of
// its own; the roles are said because a table that is laid out otherwise is no table to some browsers.
import { Button } from "@mantine/core";
import type { ReactNode } from "react";

import { t } from "../words/language";
import { Loaded } from "./Page";

export interface Column<R> {
  title: string;
  of: (row: R) => ReactNode;
  isNumber?: boolean;
  /** What stands in it is not broken into lines. */
  isWhole?: boolean;
}

interface Asked<R> {
  data: readonly R[] | undefined;
  error: unknown;
  refetch: () => unknown;
}

export function DataTable<R>(props: {
  label: string;
  of: Asked<R>;
  columns: readonly Column<R>[];
  id: (row: R) => string | number;
  none: ReactNode;
  pages?: Pages;
}) {
  return (
    <Loaded of={props.of} lines={4}>
      {(rows) =>
        rows.length === 0 ? (
          props.none
        ) : (
          <>
            <div className="scroll" tabIndex={0}>
              <table className="table stacks" role="table" aria-label={props.label}>
                <thead role="rowgroup">
                  <tr role="row">
                    {props.columns.map((column) => (
                      <th key={column.title} scope="col" role="columnheader" className={column.isNumber ? "num" : undefined}>
                        {column.title}
                      </th>
                    ))}
                  </tr>
                </thead>
                <tbody role="rowgroup">
                  {rows.map((row) => (
                    <tr key={props.id(row)} role="row">
                      {props.columns.map((column) => (
                        <td key={column.title} role="cell" data-title={column.title} className={column.isNumber ? "num" : column.isWhole ? "amount" : undefined}>
                          <div>{column.of(row)}</div>
                        </td>
                      ))}
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
            {props.pages && <More of={props.pages} />}
          </>
        )
      }
    </Loaded>
  );
}

export interface Pages {
  hasNextPage: boolean;
  isFetchingNextPage: boolean;
  fetchNextPage: () => unknown;
}

/** The way to the next page, where there is one. */
export function More({ of: found }: { of: Pages }) {
  if (!found.hasNextPage) return null;
  return (
    <div>
      <Button variant="default" size="xs" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
        {t("Show more")}
      </Button>
    </div>
  );
}
