import { useState } from "react";
import Box from "@cloudscape-design/components/box";
import Container from "@cloudscape-design/components/container";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import SegmentedControl from "@cloudscape-design/components/segmented-control";
import Skeleton from "@cloudscape-design/components/skeleton";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { PolicyComplianceDocument, type ComplianceEntryPartsFragment, type Frequency, type Leg } from "../../api/generated";
import { useData } from "../../api/useData";
import { LEGS } from "../../format/calendar";
import { LEG } from "../../format/words";
import { EmptyState } from "../../ui/EmptyState";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { ComplianceEntryDetail } from "./ComplianceEntry";
import { percentText, SLA_STATE } from "./ComplianceState";
import { periodLabel } from "./periodLabel";
import "./policies.css";

export type Entry = ComplianceEntryPartsFragment;

const PERIODS: readonly { id: Frequency; text: string }[] = [
  { id: "DAILY", text: "Days" },
  { id: "WEEKLY", text: "Weeks" },
  { id: "MONTHLY", text: "Months" },
];

/** What was kept of the promise, period by period; a bar leads to its instances. */
export function ComplianceTab({ policyId }: { policyId: string }) {
  const [leg, setLeg] = useState<Leg>("SNAPSHOT");
  const [chosenPeriod, setPeriod] = useState<Frequency>("DAILY");
  const [asItWas, setAsItWas] = useState(false);
  const [start, setStart] = useState<string | null>(null);
  // Archives are made once a month: shorter periods say nothing about them.
  const period = leg === "ARCHIVE" ? "MONTHLY" : chosenPeriod;
  const answer = useData(PolicyComplianceDocument, { id: policyId, leg, period, asItWas }, { live: ["session", "policy"] });
  const node = answer.data?.node;
  const entries = node?.__typename === "Policy" ? [...node.compliance].sort((left, right) => left.start.localeCompare(right.start)) : undefined;
  const chosen = entries?.find((entry) => entry.start === start) ?? null;
  return (
    <SpaceBetween size="l">
      <Container header={<Header variant="h2">Compliance</Header>}>
        <SpaceBetween size="l">
          <div className="hf-row">
            <SegmentedControl
              label="Which restore points"
              selectedId={leg}
              options={LEGS.map((id) => ({ id, text: LEG[id] }))}
              onChange={({ detail }) => setLeg(detail.selectedId as Leg)}
            />
            <SegmentedControl
              label="Period"
              selectedId={period}
              options={PERIODS.map((option) => ({ ...option, disabled: leg === "ARCHIVE" && option.id !== "MONTHLY" }))}
              onChange={({ detail }) => setPeriod(detail.selectedId as Frequency)}
            />
            <SegmentedControl
              label="By which terms"
              selectedId={asItWas ? "was" : "now"}
              options={[
                { id: "now", text: "Recomputed" },
                { id: "was", text: "As it was" },
              ]}
              onChange={({ detail }) => setAsItWas(detail.selectedId === "was")}
            />
          </div>
          <Box color="text-body-secondary" fontSize="body-s">
            {asItWas ? "Judged by the terms the template had at that time." : "Judged by the template's terms of today, also for the past."}
          </Box>
          {answer.problem && <ProblemAlert header="Compliance cannot be shown" problem={answer.problem} onRetry={answer.refresh} />}
          {!entries && !answer.problem && <Skeleton height="200px" />}
          {entries && <Chart entries={entries} period={period} chosen={start} onChoose={setStart} />}
        </SpaceBetween>
      </Container>
      {chosen && (chosen.state === "MET" || chosen.state === "MISSED") && (
        <ComplianceEntryDetail policyId={policyId} leg={leg} period={period} asItWas={asItWas} entry={chosen} />
      )}
    </SpaceBetween>
  );
}

interface ChartProps {
  readonly entries: readonly Entry[];
  readonly period: Frequency;
  readonly chosen: string | null;
  readonly onChoose: (start: string) => void;
}

function Chart({ entries, period, chosen, onChoose }: ChartProps) {
  if (entries.length === 0) return <EmptyState title="Nothing to judge yet" text="The first bar appears when the first period is over in every Region." />;
  if (entries.every((entry) => entry.state === "NOT_CONFIGURED")) {
    return <EmptyState title="Not promised" text="The SLA template promises none of these restore points." />;
  }
  const target = entries[entries.length - 1]?.target ?? 0;
  return (
    <FormField stretch label={`Kept from ${target} % on (the dashed line)`} description="Choose a bar to see its instances and sessions.">
      <ul className="hf-bars">
        {entries.map((entry) => (
          <li key={entry.start}>
            <Bar entry={entry} label={periodLabel(entry, period)} pressed={entry.start === chosen} onChoose={() => onChoose(entry.start)} />
          </li>
        ))}
      </ul>
    </FormField>
  );
}

function Bar({ entry, label, pressed, onChoose }: { entry: Entry; label: string; pressed: boolean; onChoose: () => void }) {
  const judged = entry.state === "MET" || entry.state === "MISSED";
  const [first, ...rest] = label.split(" ");
  const words = `${label}: ${SLA_STATE[entry.state].text}${judged ? `, ${percentText(entry.percent)}` : ""}`;
  return (
    <button
      type="button"
      className="hf-bar"
      data-state={entry.state}
      aria-pressed={pressed}
      aria-label={words}
      title={words}
      disabled={!judged}
      onClick={onChoose}
    >
      <span className="hf-bar-room">
        {judged && <span className="hf-bar-fill" style={{ height: `${Math.max(0, Math.min(100, entry.percent ?? 0))}%` }} />}
        <span className="hf-bar-target" style={{ bottom: `${entry.target}%` }} />
      </span>
      <span>
        <span className="hf-bar-value">{judged ? percentText(entry.percent) : "–"}</span>
        <br />
        {judged ? SLA_STATE[entry.state].text : "\u00a0"}
      </span>
      <span>
        {first}
        <br />
        {rest.join(" ")}
      </span>
    </button>
  );
}
