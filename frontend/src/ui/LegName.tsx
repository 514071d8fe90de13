import type { Leg } from "../api/generated";
import { LEG } from "../format/words";
import "./flags.css";

/** A leg's name with its colour, the same everywhere. */
export function LegName({ leg, children }: { leg: Leg; children?: string }) {
  return (
    <span className="hf-leg" data-leg={leg}>
      {children ?? LEG[leg]}
    </span>
  );
}
