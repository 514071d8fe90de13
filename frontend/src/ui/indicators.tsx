import type { ReactNode } from "react";
import Badge from "@cloudscape-design/components/badge";
import Box from "@cloudscape-design/components/box";
import Popover from "@cloudscape-design/components/popover";
import ProgressBar from "@cloudscape-design/components/progress-bar";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator, { type StatusIndicatorProps } from "@cloudscape-design/components/status-indicator";
import type { AccountState, Leg, RepositoryState, State } from "../api/generated";
import { percent, size } from "../format/size";
import "./flags.css";
import { ACCOUNT_STATE, LEG, REPOSITORY_STATE, STATE } from "../format/words";

const STATE_TYPE: Record<State, StatusIndicatorProps.Type> = {
  PENDING: "pending",
  RUNNING: "in-progress",
  SUCCESS: "success",
  WARNING: "warning",
  ERROR: "error",
  CANCELLED: "stopped",
};

export function StateIndicator({ state, cancelling = false }: { state: State; cancelling?: boolean }) {
  if (cancelling && (state === "RUNNING" || state === "PENDING")) return <StatusIndicator wrapText={false} type="in-progress">Cancelling</StatusIndicator>;
  return <StatusIndicator wrapText={false} type={STATE_TYPE[state]}>{STATE[state]}</StatusIndicator>;
}

/** State of an account or repository; the reason for trouble is one click away. */
export function HealthIndicator({ state, problem }: { state: AccountState | RepositoryState; problem: string | null | undefined }) {
  const label = state === "UNCHECKED" ? ACCOUNT_STATE.UNCHECKED : REPOSITORY_STATE[state];
  const type: StatusIndicatorProps.Type = state === "AVAILABLE" ? "success" : state === "UNCHECKED" ? "pending" : "error";
  const indicator = <StatusIndicator wrapText={false} type={type}>{label}</StatusIndicator>;
  if (!problem) return indicator;
  return (
    <Popover dismissButton={false} position="top" size="medium" triggerType="text" content={problem}>
      {indicator}
    </Popover>
  );
}

export function LegBadge({ leg }: { leg: Leg }) {
  return (
    <span className="hf-leg-badge" data-leg={leg}>
      {LEG[leg]}
    </span>
  );
}

interface ProgressProps {
  readonly state: State;
  readonly done: number;
  readonly total: number;
  readonly label: string;
}

/** Progress in bytes; an unknown whole shows what was done so far. */
export function Progress({ state, done, total, label }: ProgressProps) {
  if (total <= 0) return done > 0 ? <span className="hf-number">{size(done)}</span> : <Box color="text-body-secondary">–</Box>;
  const running = state === "RUNNING" || state === "PENDING";
  return (
    <ProgressBar
      ariaLabel={label}
      value={state === "SUCCESS" || state === "WARNING" ? 100 : percent(done, total)}
      status="in-progress"
      variant="key-value"
      additionalInfo={running ? `${size(done)} of ${size(total)}` : undefined}
    />
  );
}

export interface TagPair {
  readonly key: string;
  readonly value: string;
}

/** The first tags, and the rest on demand. `Name` is left out: it is the row's name. */
export function Tags({ tags, shown = 2 }: { tags: readonly TagPair[]; shown?: number }) {
  const others = tags.filter((tag) => tag.key !== "Name");
  if (others.length === 0) return <>–</>;
  const rest = others.slice(shown);
  return (
    <SpaceBetween direction="horizontal" size="xxs">
      {others.slice(0, shown).map((tag) => (
        <Badge key={tag.key}>
          {tag.key}: {tag.value || "(empty)"}
        </Badge>
      ))}
      {rest.length > 0 && (
        <Popover
          header="Tags"
          size="medium"
          dismissButton={false}
          content={rest.map((tag) => (
            <div key={tag.key}>
              {tag.key}: {tag.value || "(empty)"}
            </div>
          ))}
        >
          {rest.length} more
        </Popover>
      )}
    </SpaceBetween>
  );
}

export function Figure({ children, label }: { children: ReactNode; label: ReactNode }) {
  return (
    <div>
      <Box variant="awsui-key-label">{label}</Box>
      <div className="hf-figure">{children}</div>
    </div>
  );
}
