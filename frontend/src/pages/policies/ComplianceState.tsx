import Box from "@cloudscape-design/components/box";
import StatusIndicator, { type StatusIndicatorProps } from "@cloudscape-design/components/status-indicator";
import type { ComplianceEntryPartsFragment, ComplianceState as State } from "../../api/generated";

export const SLA_STATE: Record<State, { type: StatusIndicatorProps.Type; text: string }> = {
  MET: { type: "success", text: "Met" },
  MISSED: { type: "error", text: "Missed" },
  NOT_AVAILABLE: { type: "pending", text: "Not over yet" },
  NOT_CONFIGURED: { type: "stopped", text: "Not promised" },
};

/** `97.5 %`; null: nothing to judge. Never 100 while something is missing. */
export function percentText(percent: number | null): string {
  if (percent === null) return "–";
  const shown = percent >= 100 ? 100 : Math.min(99.9, Math.round(percent * 10) / 10);
  return `${shown.toLocaleString("en-US", { maximumFractionDigits: 1 })} %`;
}

/** What was kept of a promise in one period. */
export function ComplianceState({ entry }: { entry: ComplianceEntryPartsFragment | null }) {
  if (!entry || entry.state === "NOT_CONFIGURED") return <Box color="text-body-secondary">–</Box>;
  const { type, text } = SLA_STATE[entry.state];
  if (entry.state === "NOT_AVAILABLE") {
    return (
      <Box color="text-body-secondary" fontSize="body-s">
        {text}
      </Box>
    );
  }
  return (
    <div>
      <StatusIndicator wrapText={false} type={type}>
        {text}
      </StatusIndicator>
      <Box color="text-body-secondary" fontSize="body-s">
        {percentText(entry.percent)}
      </Box>
    </div>
  );
}
