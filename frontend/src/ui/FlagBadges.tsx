import type { Frequency } from "../api/generated";
import { flagLetter, frequencyName, inOrder } from "../format/calendar";
import "./flags.css";

const MEANING: Record<Frequency, string> = {
  DAILY: "Daily: kept by the rule of the daily schedule",
  WEEKLY: "Weekly: also kept by the rule of the weekly schedule",
  MONTHLY: "Monthly: also kept by the rule of the monthly schedule",
  YEARLY: "Yearly: also kept by the rule of the yearly schedule",
};

/** D, W, M, Y: by which schedules' rules a restore point is kept. It leaves when the last one is gone. */
export function FlagBadges({ flags, none = "" }: { flags: readonly Frequency[]; none?: string }) {
  if (flags.length === 0) return <>{none}</>;
  return (
    <span className="hf-flags" role="img" aria-label={inOrder(flags).map(frequencyName).join(", ")}>
      {inOrder(flags).map((flag) => (
        <abbr key={flag} className="hf-flag" data-flag={flag} title={MEANING[flag]} aria-hidden="true">
          {flagLetter(flag)}
        </abbr>
      ))}
    </span>
  );
}
