import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Checkbox from "@cloudscape-design/components/checkbox";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { count } from "../../format/text";
import { DaysField } from "../../ui/DaysField";
import { MonthsField } from "../../ui/MonthsField";
import { PeriodField } from "../../ui/PeriodField";
import { DayOfMonth } from "../policies/wizard/TimeFields";
import { pointsPerDay, type PlanDraft } from "./termsDraft";
import { stepPhrase } from "./termsWords";

interface PlanFormProps {
  readonly path: string;
  readonly plan: PlanDraft;
  /** Parts of an hour can be chosen, too. */
  readonly hourParts?: boolean;
  readonly onCopy?: { readonly text: string; readonly run: () => void };
  readonly error: (...paths: string[]) => string | undefined;
  readonly onChange: (plan: PlanDraft) => void;
}

const HOURS = [1, 2, 3, 4, 6, 8, 12, 24].map((hours) => hours * 60);
const PARTS = [15, 20, 30];

/** The window of a leg, and which points are promised inside it. */
export function PlanForm({ path, plan, hourParts = false, onCopy, error, onChange }: PlanFormProps) {
  const change = (part: Partial<PlanDraft>): void => onChange({ ...plan, ...part });
  const steps = [...new Set([...(hourParts ? PARTS : []), ...HOURS, plan.everyMinutes])].sort((left, right) => left - right);
  const step = (minutes: number) => ({ value: String(minutes), label: stepPhrase(minutes) });
  const perDay = pointsPerDay(plan);
  return (
    <SpaceBetween size="m">
      <div className="hf-row">
        <FormField label="Window opens" errorText={error(`${path}.window.start`)}>
          <div className="hf-number-field">
            <Input value={plan.start} placeholder="22:00" onChange={({ detail }) => change({ start: detail.value })} />
          </div>
        </FormField>
        <FormField label="Window closes" errorText={error(`${path}.window.end`)}>
          <div className="hf-number-field">
            <Input value={plan.end} placeholder="06:00" onChange={({ detail }) => change({ end: detail.value })} />
          </div>
        </FormField>
        {onCopy && (
          <Box padding={{ top: "xl" }}>
            <Button iconName="copy" onClick={onCopy.run}>
              {onCopy.text}
            </Button>
          </Box>
        )}
      </div>
      <Box color="text-body-secondary" fontSize="body-s">
        In each Region&rsquo;s own time. The same time twice: all day.
      </Box>
      {error(`=${path}`) && <Box color="text-status-error">{error(`=${path}`)}</Box>}
      <Checkbox checked={plan.daily} onChange={({ detail }) => change({ daily: detail.checked })}>
        Every day
      </Checkbox>
      {plan.daily && (
        <div className="hf-row hf-indent">
          <FormField
            label="How often"
            errorText={error(`${path}.daily.everyMinutes`)}
            constraintText={perDay !== null && `${count(perDay, "restore point")} a day`}
          >
            <Select
              selectedOption={step(plan.everyMinutes)}
              options={steps.map(step)}
              onChange={({ detail }) => change({ everyMinutes: Number(detail.selectedOption.value) })}
            />
          </FormField>
          <PeriodField label="Keep for" value={plan.dailyKeep} errorText={error(`${path}.daily.keep`)} onChange={(dailyKeep) => change({ dailyKeep })} />
        </div>
      )}
      <Checkbox checked={plan.weekly} onChange={({ detail }) => change({ weekly: detail.checked })}>
        Every week
      </Checkbox>
      {plan.weekly && (
        <div className="hf-indent">
          <SpaceBetween size="s">
            <DaysField label="Days of the week" days={plan.days} errorText={error(`${path}.weekly.days`)} onChange={(days) => change({ days })} />
            <PeriodField label="Keep weekly ones for" value={plan.weeklyKeep} errorText={error(`${path}.weekly.keep`)} onChange={(weeklyKeep) => change({ weeklyKeep })} />
          </SpaceBetween>
        </div>
      )}
      <Checkbox checked={plan.monthly} onChange={({ detail }) => change({ monthly: detail.checked })}>
        Every month
      </Checkbox>
      {plan.monthly && (
        <div className="hf-indent">
          <SpaceBetween size="s">
            <DayOfMonth day={plan.day} locked={null} plain errorText={error(`${path}.monthly.day`)} onChange={(day) => change({ day })} />
            <MonthsField label="Months" months={plan.months} errorText={error(`${path}.monthly.months`)} onChange={(months) => change({ months })} />
            <PeriodField label="Keep monthly ones for" value={plan.monthlyKeep} errorText={error(`${path}.monthly.keep`)} onChange={(monthlyKeep) => change({ monthlyKeep })} />
          </SpaceBetween>
        </div>
      )}
    </SpaceBetween>
  );
}
