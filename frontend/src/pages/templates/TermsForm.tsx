import { useId } from "react";
import Box from "@cloudscape-design/components/box";
import Checkbox from "@cloudscape-design/components/checkbox";
import Container from "@cloudscape-design/components/container";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Toggle from "@cloudscape-design/components/toggle";
import type { Frequency, Ordinal, Weekday } from "../../api/generated";
import { dayName, ORDINALS, ordinalName, WEEKDAYS } from "../../format/calendar";
import { LegName } from "../../ui/LegName";
import { MonthsField } from "../../ui/MonthsField";
import { PeriodField } from "../../ui/PeriodField";
import { PlanForm } from "./PlanForm";
import type { TermsDraft } from "./termsDraft";

interface TermsFormProps {
  readonly draft: TermsDraft;
  readonly change: (part: Partial<TermsDraft>) => void;
  readonly error: (...paths: string[]) => string | undefined;
}

const FIRST_OF: readonly { value: Frequency; label: string }[] = [
  { value: "DAILY", label: "each day" },
  { value: "WEEKLY", label: "each week" },
  { value: "MONTHLY", label: "each month" },
];

/** What a template promises: snapshots, replicas, backups, archives, and from when on the promise counts as kept. */
export function TermsForm(props: TermsFormProps) {
  const { draft, change, error } = props;
  return (
    <SpaceBetween size="l">
      <Container header={<Header variant="h2">{<LegName leg="SNAPSHOT">Snapshots</LegName>}</Header>}>
        <PlanForm path="terms.snapshot" plan={draft.snapshot} hourParts error={error} onChange={(snapshot) => change({ snapshot })} />
      </Container>
      <Replicas {...props} />
      <Backups {...props} />
      <Container header={<Header variant="h2">Promise</Header>}>
        <FormField
          label="Kept from, in percent"
          description="Of the promised restore points, on the average of all instances."
          errorText={error("terms.target")}
        >
          <div className="hf-number-field">
            <Input type="number" inputMode="numeric" value={draft.target} onChange={({ detail }) => change({ target: detail.value })} />
          </div>
        </FormField>
      </Container>
    </SpaceBetween>
  );
}

function Replicas({ draft, change, error }: TermsFormProps) {
  return (
    <Container header={<Header variant="h2">{<LegName leg="REPLICA">Replicas</LegName>}</Header>}>
      <SpaceBetween size="m">
        <FormField errorText={error("=terms.replica")}>
          <Toggle
            checked={draft.replicates}
            description="Copies of snapshots in another Region or account. Each policy says where they go."
            onChange={({ detail }) => change({ replicates: detail.checked })}
          >
            Promise replicas
          </Toggle>
        </FormField>
        {draft.replicates && (
          <div className="hf-row">
            <FormField label="The first snapshot of" errorText={error("terms.replica.firstOf")}>
              <Select
                selectedOption={FIRST_OF.find((option) => option.value === draft.firstOf) ?? null}
                options={FIRST_OF}
                onChange={({ detail }) => change({ firstOf: detail.selectedOption.value as Frequency })}
              />
            </FormField>
            <PeriodField
              label="Keep replicas for"
              value={draft.replicaKeep}
              units={["DAYS", "MONTHS"]}
              errorText={error("terms.replica.keep")}
              onChange={(replicaKeep) => change({ replicaKeep })}
            />
          </div>
        )}
      </SpaceBetween>
    </Container>
  );
}

function Backups(props: TermsFormProps) {
  const { draft, change, error } = props;
  return (
    <SpaceBetween size="l">
      <Container header={<Header variant="h2">{<LegName leg="BACKUP">Backups</LegName>}</Header>}>
        <SpaceBetween size="m">
          <Toggle
            checked={draft.backsUp}
            description="Copies in a repository, which outlive the account's snapshots. The storage template says where."
            onChange={({ detail }) => change({ backsUp: detail.checked })}
          >
            Promise backups
          </Toggle>
          {draft.backsUp && (
            <>
              <PlanForm
                path="terms.backup"
                plan={draft.backup}
                error={error}
                onCopy={{ text: "As the snapshots", run: () => change({ backup: asSnapshots(draft) }) }}
                onChange={(backup) => change({ backup })}
              />
              <Checkbox
                checked={draft.trackChanges}
                description="Holds the snapshot behind the last backup, so that the next backup reads only what changed. Recommended: less time and cost."
                onChange={({ detail }) => change({ trackChanges: detail.checked })}
              >
                Track changes
              </Checkbox>
              <HealthCheck {...props} />
            </>
          )}
        </SpaceBetween>
      </Container>
      {draft.backsUp && (
        <Container header={<Header variant="h2">{<LegName leg="ARCHIVE">Archives</LegName>}</Header>}>
          <SpaceBetween size="m">
            <Toggle
              checked={draft.archives}
              description="The first backup of the chosen months goes into the archive, for years."
              onChange={({ detail }) => change({ archives: detail.checked })}
            >
              Promise archives
            </Toggle>
            {draft.archives && (
              <>
                <MonthsField label="Months" months={draft.archiveMonths} errorText={error("terms.archive.months")} onChange={(archiveMonths) => change({ archiveMonths })} />
                <PeriodField label="Keep archives for" value={draft.archiveKeep} errorText={error("terms.archive.keep")} onChange={(archiveKeep) => change({ archiveKeep })} />
              </>
            )}
          </SpaceBetween>
        </Container>
      )}
    </SpaceBetween>
  );
}

/** Backups go by whole hours. */
function asSnapshots({ snapshot }: TermsDraft): TermsDraft["backup"] {
  return { ...snapshot, everyMinutes: Math.max(60, snapshot.everyMinutes) };
}

function HealthCheck({ draft, change, error }: TermsFormProps) {
  const weekdayId = useId();
  return (
    <SpaceBetween size="xs">
      <Checkbox
        checked={draft.healthChecked}
        description="Once a month all backups are looked at, and a twelfth of their data is read."
        onChange={({ detail }) => change({ healthChecked: detail.checked })}
      >
        Check health
      </Checkbox>
      {draft.healthChecked && (
        <FormField label="Day of the health check" errorText={error("terms.healthCheck")}>
          <div className="hf-row hf-tight">
            <Select
              ariaLabel="Which week of the month"
              selectedOption={{ value: draft.ordinal, label: ordinalName(draft.ordinal) }}
              options={ORDINALS.map((value) => ({ value, label: ordinalName(value) }))}
              onChange={({ detail }) => change({ ordinal: detail.selectedOption.value as Ordinal })}
            />
            <Select
              controlId={weekdayId}
              ariaLabel="Weekday of the health check"
              selectedOption={{ value: draft.weekday, label: dayName(draft.weekday) }}
              options={WEEKDAYS.map((value) => ({ value, label: dayName(value) }))}
              onChange={({ detail }) => change({ weekday: detail.selectedOption.value as Weekday })}
            />
            <Box padding={{ top: "xxs" }}>of each month</Box>
          </div>
        </FormField>
      )}
    </SpaceBetween>
  );
}
