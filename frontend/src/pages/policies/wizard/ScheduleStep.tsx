import Container from "@cloudscape-design/components/container";
import ExpandableSection from "@cloudscape-design/components/expandable-section";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import RadioGroup from "@cloudscape-design/components/radio-group";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { FREQUENCIES } from "../../../format/calendar";
import { PeriodField, type PeriodDraft } from "../../../ui/PeriodField";
import { placesOf, type PolicyDraft } from "../draft";
import { FrequencyEditor } from "./FrequencyEditor";
import { SchedulePreview } from "./SchedulePreview";
import type { StepProps } from "./stepProps";
import "../policies.css";

/** When the policy runs and what each schedule keeps, with what the server makes of it beside it. */
export function ScheduleStep({ draft, change, error, choices, answer }: StepProps) {
  const { schedule } = draft;
  const timezone = draft.scheduled ? schedule.timezone : undefined;
  return (
    <div className="hf-beside-room">
      <div className="hf-beside">
        <SpaceBetween size="l">
          <Container header={<Header variant="h2">Schedule</Header>}>
            <SpaceBetween size="l">
              <RadioGroup
                ariaLabel="Schedule"
                value={draft.scheduled ? "clock" : "hand"}
                onChange={({ detail }) => change({ scheduled: detail.value === "clock" })}
                items={[
                  { value: "clock", label: "Run by schedule" },
                  { value: "hand", label: "Run only when started by hand" },
                ]}
              />
              {draft.scheduled && (
                <FormField label="Time zone" errorText={error("schedule.timezone")}>
                  <Select
                    selectedOption={{ value: schedule.timezone, label: schedule.timezone }}
                    options={choices.timezones.map((value) => ({ value, label: value }))}
                    filteringType="auto"
                    virtualScroll
                    onChange={({ detail }) => change({ schedule: { ...schedule, timezone: detail.selectedOption.value ?? "UTC" } })}
                  />
                </FormField>
              )}
            </SpaceBetween>
          </Container>
          {draft.scheduled &&
            FREQUENCIES.map((frequency) => (
              <FrequencyEditor
                key={frequency}
                frequency={frequency}
                schedule={schedule}
                places={placesOf(draft)}
                inherited={answer.preview?.inherited ?? []}
                error={error}
                onChange={(next) => change({ schedule: next })}
              />
            ))}
          <ByHand draft={draft} change={change} error={error} />
        </SpaceBetween>
        <div>
          <SchedulePreview answer={answer} timeZone={timezone} />
        </div>
      </div>
    </div>
  );
}

/** What holds for points that no schedule makes. */
function ByHand({ draft, change, error }: Pick<StepProps, "draft" | "change" | "error">) {
  const { byHand } = draft;
  const put = (part: Partial<PolicyDraft["byHand"]>): void => change({ byHand: { ...byHand, ...part } });
  const wrong = error("retention") !== undefined;
  const period = (label: string, path: string, value: PeriodDraft, onChange: (value: PeriodDraft) => void) => (
    <PeriodField label={label} value={value} errorText={error(path)} onChange={onChange} />
  );
  return (
    <ExpandableSection
      key={String(draft.scheduled)}
      variant="container"
      headerText="Runs started by hand"
      headerDescription={
        draft.scheduled
          ? "Their points are kept as those of the most frequent schedule. This holds for what no schedule makes."
          : "How long their points are kept."
      }
      defaultExpanded={!draft.scheduled || wrong}
    >
      <div className="hf-row">
        <FormField label="Snapshots to keep" errorText={error("retention.snapshots")}>
          <Input type="number" inputMode="numeric" value={byHand.snapshots} onChange={({ detail }) => put({ snapshots: detail.value })} />
        </FormField>
        {draft.replicas.length > 0 && (
          <FormField label="Replicas to keep" errorText={error("retention.replicas")}>
            <Input type="number" inputMode="numeric" value={byHand.replicas} onChange={({ detail }) => put({ replicas: detail.value })} />
          </FormField>
        )}
        {draft.repositoryId !== "" && period("Keep backups for", "retention.backups", byHand.backups, (backups) => put({ backups }))}
        {draft.archiveRepositoryId !== "" && period("Keep archives for", "retention.archives", byHand.archives, (archives) => put({ archives }))}
      </div>
    </ExpandableSection>
  );
}
