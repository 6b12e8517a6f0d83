// A table of rows with what stands in each column, and the way to more of them. On a narrow screen each row stands as lines of
// its own; the roles are said because a table that is laid out otherwise is no table to some browsers.
import type { ReactNode } from "react";

import type { Listed } from "../api/paged";
import { Loaded } from "./Page";
import { More } from "./Rows";

export interface Column<R> {
  title: string;
  of: (row: R) => ReactNode;
  isNumber?: boolean;
  /** What stands in it is not broken into lines. */
  isWhole?: boolean;
}

export function DataTable<R>(props: {
  label: string;
  of: Listed<R>;
  columns: readonly Column<R>[];
  id: (row: R) => string | number;
  none: ReactNode;
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
            <More of={props.of.more} />
          </>
        )
      }
    </Loaded>
  );
}
