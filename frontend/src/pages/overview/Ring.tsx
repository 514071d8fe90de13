import { RouterLink } from "../../ui/RouterLink";

export interface RingPart {
  readonly label: string;
  readonly value: number;
  readonly color: string;
  readonly to: string;
}

const RADIUS = 42;
const LENGTH = 2 * Math.PI * RADIUS;

/** Shares of a whole as a ring, with a legend that names and links each. */
export function Ring({ label, centre, parts }: { label: string; centre: string; parts: readonly RingPart[] }) {
  const total = parts.reduce((sum, part) => sum + part.value, 0);
  let before = 0;
  return (
    <div className="hf-ring">
      <svg viewBox="0 0 116 116" role="img" aria-label={`${label}: ${parts.map((part) => `${part.label} ${part.value}`).join(", ") || "none"}`}>
        <circle className="hf-ring-track" cx="58" cy="58" r={RADIUS} fill="none" strokeWidth="14" />
        {total > 0 &&
          parts.map((part) => {
            const share = (part.value / total) * LENGTH;
            const offset = before;
            before += share;
            return (
              <circle
                key={part.label}
                cx="58"
                cy="58"
                r={RADIUS}
                fill="none"
                stroke={part.color}
                strokeWidth="14"
                strokeDasharray={`${share} ${LENGTH - share}`}
                strokeDashoffset={-offset}
                transform="rotate(-90 58 58)"
              />
            );
          })}
        <text className="hf-ring-text" x="58" y="66" textAnchor="middle">
          {centre}
        </text>
      </svg>
      {parts.length > 0 ? (
        <ul className="hf-legend">
          {parts.map((part) => (
            <li key={part.label}>
              <span className="hf-swatch" style={{ background: part.color }} />
              <RouterLink to={part.to} variant="secondary">
                {part.label}
              </RouterLink>
              <strong className="hf-number">{part.value.toLocaleString("en-US")}</strong>
            </li>
          ))}
        </ul>
      ) : (
        <span>Nothing ran yet.</span>
      )}
    </div>
  );
}
