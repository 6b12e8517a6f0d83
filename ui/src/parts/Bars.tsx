// A bar for each day. The same figures stand in a table for whoever does not see bars.
import { useId } from "react";

import { t } from "../words/language";

export interface Bar {
  label: string;
  value: number;
  said: string;
}

const HEIGHT = 120;
const GAP = 0.28;

export function Bars(props: { title: string; bars: readonly Bar[] }) {
  const id = useId();
  const most = Math.max(...props.bars.map((bar) => bar.value), 0);
  const first = props.bars[0];
  const last = props.bars.at(-1);
  if (!first || !last || most === 0) {
    return (
      <figure className="bars">
        <figcaption>{props.title}</figcaption>
        <p className="bars-none">{t("Nothing in this time.")}</p>
      </figure>
    );
  }
  return (
    <figure className="bars" aria-labelledby={id}>
      <figcaption id={id}>
        {props.title}
        <span className="bars-most">{props.bars.find((bar) => bar.value === most)?.said}</span>
      </figcaption>
      <svg viewBox={`0 0 ${props.bars.length} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        {props.bars.map((bar, place) => {
          const height = bar.value === 0 ? 1 : Math.max(3, (bar.value / most) * (HEIGHT - 2));
          return (
            <rect
              key={bar.label}
              className={bar.value === 0 ? "bar none" : "bar"}
              x={place + GAP / 2}
              width={1 - GAP}
              y={HEIGHT - height}
              height={height}
            >
              <title>{`${bar.label}: ${bar.said}`}</title>
            </rect>
          );
        })}
      </svg>
      <div className="bars-ends" aria-hidden="true">
        <span>{first.label}</span>
        <span>{last.label}</span>
      </div>
      <div className="unseen">
        <table>
          <caption>{props.title}</caption>
          <tbody>
            {props.bars.map((bar) => (
              <tr key={bar.label}>
                <th scope="row">{bar.label}</th>
                <td>{bar.said}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </figure>
  );
}
