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
import type { Ordinal, Weekday } from "../../../api/generated";
import { dayName, ORDINALS, ordinalName, WEEKDAYS } from "../../../format/calendar";
import { makesBackups } from "../draft";
import type { StepProps } from "./stepProps";

export function SettingsStep(props: StepProps) {
  const { draft, change, error } = props;
  return (
    <SpaceBetween size="l">
      <Container header={<Header variant="h2">When something fails</Header>}>
        <FormField
          label="Tries after a failure"
          description="How often an instance that fails in a scheduled run is tried again, a minute apart. Only what failed is done again."
          errorText={error("retryAttempts", "retries")}
        >
          <div className="hf-number-field">
            <Input type="number" inputMode="numeric" value={draft.retryAttempts} onChange={({ detail }) => change({ retryAttempts: detail.value })} />
          </div>
        </FormField>
      </Container>
      <Mail {...props} />
      {makesBackups(draft) && <Checks {...props} />}
    </SpaceBetween>
  );
}

function Mail({ draft, change, error }: StepProps) {
  const sla = draft.kind === "SLA";
  return (
    <Container header={<Header variant="h2">Mail</Header>}>
      <SpaceBetween size="l">
        <Toggle
          checked={draft.notify}
          description="In place of what the appliance's own settings say. It is sent as soon as mail is set up on the appliance."
          onChange={({ detail }) => change({ notify: detail.checked })}
        >
          Mail about this policy
        </Toggle>
        {draft.notify && (
          <>
            <FormField label="Recipients" constraintText="Separated by semicolons." errorText={error("notifications.recipients")}>
              <Input
                value={draft.recipients}
                placeholder="backup@example.com; night-shift@example.com"
                spellcheck={false}
                onChange={({ detail }) => change({ recipients: detail.value })}
              />
            </FormField>
            {sla ? (
              <>
                <Checkbox checked={draft.onlyMissed} onChange={({ detail }) => change({ onlyMissed: detail.checked })}>
                  Only about instances that missed the promise or were removed
                </Checkbox>
                <FormField
                  label="Sent at"
                  description="Of the next day, in UTC. Empty: as soon as the day is over in every Region."
                  errorText={error("notifications.atMinute")}
                >
                  <div className="hf-number-field">
                    <Input value={draft.mailAt} placeholder="09:00" onChange={({ detail }) => change({ mailAt: detail.value })} />
                  </div>
                </FormField>
              </>
            ) : (
              <FormField label="After runs that ended" errorText={error("notifications")}>
                <SpaceBetween size="xs">
                  <Checkbox checked={draft.onSuccess} onChange={({ detail }) => change({ onSuccess: detail.checked })}>
                    successfully
                  </Checkbox>
                  <Checkbox checked={draft.onWarning} onChange={({ detail }) => change({ onWarning: detail.checked })}>
                    with warnings
                  </Checkbox>
                  <Checkbox checked={draft.onFailure} onChange={({ detail }) => change({ onFailure: detail.checked })}>
                    with an error
                  </Checkbox>
                  <Checkbox
                    checked={draft.lastAttemptOnly}
                    description="Otherwise there is a mail for each try."
                    onChange={({ detail }) => change({ lastAttemptOnly: detail.checked })}
                  >
                    Only after the last try
                  </Checkbox>
                </SpaceBetween>
              </FormField>
            )}
          </>
        )}
      </SpaceBetween>
    </Container>
  );
}

/** What is done so that a backup is known to be good before it is needed. */
function Checks({ draft, change, error }: StepProps) {
  const weekdayId = useId();
  return (
    <Container header={<Header variant="h2">Checks of the backups</Header>}>
      <SpaceBetween size="l">
        <FormField errorText={error("verify")}>
          <Toggle
            checked={draft.verify}
            description="Each new backup is read again right away and compared with the volumes it was made from. Takes more time and requests."
            onChange={({ detail }) => change({ verify: detail.checked })}
          >
            Verify backups
          </Toggle>
        </FormField>
        {draft.kind === "SCHEDULE" && (
          <Toggle
            checked={draft.healthChecked}
            description="Once a month all backups are looked at, and a twelfth of their data is read. What is damaged is shown, and healed by the next backup."
            onChange={({ detail }) => change({ healthChecked: detail.checked })}
          >
            Check health
          </Toggle>
        )}
        {draft.kind === "SCHEDULE" && draft.healthChecked && (
          <FormField
            label="Day of the health check"
            constraintText="It starts after the policy's first run of that day."
            errorText={error("healthCheck")}
          >
            <SpaceBetween direction="horizontal" size="xs">
              <Select
                ariaLabel="Which week of the month"
                selectedOption={{ value: draft.ordinal, label: ordinalName(draft.ordinal) }}
                options={ORDINALS.map((value) => ({ value, label: ordinalName(value) }))}
                onChange={({ detail }) => change({ ordinal: detail.selectedOption.value as Ordinal })}
              />
              <Select
                controlId={weekdayId}
              ariaLabel="Weekday"
                selectedOption={{ value: draft.weekday, label: dayName(draft.weekday) }}
                options={WEEKDAYS.map((value) => ({ value, label: dayName(value) }))}
                onChange={({ detail }) => change({ weekday: detail.selectedOption.value as Weekday })}
              />
              <Box padding={{ top: "xxs" }}>of each month</Box>
            </SpaceBetween>
          </FormField>
        )}
      </SpaceBetween>
    </Container>
  );
}
