import Box from "@cloudscape-design/components/box";
import Container from "@cloudscape-design/components/container";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import RadioGroup from "@cloudscape-design/components/radio-group";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Toggle from "@cloudscape-design/components/toggle";
import type { Frequency, Leg } from "../../../api/generated";
import { dayName, frequencyName, hourName, monthName, WEEKDAYS } from "../../../format/calendar";
import { DaysField } from "../../../ui/DaysField";
import { FlagBadges } from "../../../ui/FlagBadges";
import { PeriodField } from "../../../ui/PeriodField";
import { DayOfMonth, HourField } from "./TimeFields";
import {
  changedRule,
  isCounted,
  legsOf,
  lockReason,
  sentTo,
  switchedOn,
  toggled,
  type InheritedTimes,
  type PartDraft,
  type Places,
  type ScheduleDraft,
} from "./scheduleDraft";
import { SlotGrid, type Slot } from "./SlotGrid";
import type { StepProps } from "./stepProps";
import "../policies.css";

interface FrequencyEditorProps {
  readonly frequency: Frequency;
  readonly schedule: ScheduleDraft;
  readonly places: Places;
  readonly inherited: InheritedTimes;
  readonly error: StepProps["error"];
  readonly onChange: (schedule: ScheduleDraft) => void;
}

const HOURS: readonly Slot[] = [...Array(24).keys()].map((hour) => ({
  value: hour,
  label: String(hour).padStart(2, "0"),
  words: `at ${hourName(hour)}`,
}));
const DAYS: readonly Slot[] = WEEKDAYS.map((day, value) => ({ value, label: dayName(day, true), words: `on ${dayName(day)}` }));
const MONTHS: readonly Slot[] = [...Array(12).keys()].map((index) => ({
  value: index + 1,
  label: monthName(index + 1, true),
  words: `in ${monthName(index + 1)}`,
}));
const GRID: Record<Frequency, { label: string; slots: readonly Slot[] }> = {
  DAILY: { label: "Hours of the day", slots: HOURS },
  WEEKLY: { label: "Days of the week", slots: DAYS },
  MONTHLY: { label: "Months", slots: MONTHS },
  YEARLY: { label: "Month", slots: MONTHS },
};
const ABOUT: Record<Frequency, string> = {
  DAILY: "The most frequent restore points, kept the shortest.",
  WEEKLY: "One restore point of each chosen day is kept longer.",
  MONTHLY: "One restore point of each chosen month is kept longer still.",
  YEARLY: "One backup or archive a year, kept for years.",
};

/** One of the four schedules: a switch, and beneath it when it makes what, and how long that is kept. */
export function FrequencyEditor(props: FrequencyEditorProps) {
  const { frequency, schedule, places, onChange } = props;
  const part = schedule.parts[frequency];
  const homeless = frequency === "YEARLY" && !places.BACKUP;
  const put = (next: PartDraft): void => onChange({ ...schedule, parts: { ...schedule.parts, [frequency]: next } });
  return (
    <Container
      header={
        <Header
          variant="h2"
          description={ABOUT[frequency]}
          actions={
            <Toggle
              checked={part.on}
              disabled={!part.on && homeless}
              ariaLabel={`${frequencyName(frequency)} schedule`}
              onChange={({ detail }) => put(detail.checked ? switchedOn(part, places) : { ...part, on: false })}
            >
              {part.on ? "On" : "Off"}
            </Toggle>
          }
        >
          {frequencyName(frequency)} <FlagBadges flags={[frequency]} />
        </Header>
      }
    >
      {part.on ? (
        <Part {...props} part={part} put={put} />
      ) : (
        <Box color="text-body-secondary">
          {part.saved
            ? "Off. What it made is still kept as long as its rule says."
            : homeless
              ? "It makes a backup or an archive: choose a repository under Targets first."
              : "Switch it on to choose when, and what is kept."}
        </Box>
      )}
    </Container>
  );
}

interface PartProps extends FrequencyEditorProps {
  readonly part: PartDraft;
  readonly put: (part: PartDraft) => void;
}

function Part({ frequency, schedule, places, inherited, error, onChange, part, put }: PartProps) {
  const path = `schedule.${frequency.toLowerCase()}`;
  const { slots, label } = GRID[frequency];
  const lock = (field: string): string | null => (part.day.fixed && frequency !== "WEEKLY" ? null : lockReason(inherited, `${path}.${field}`));
  const legs = legsOf(frequency, part, places);
  return (
    <SpaceBetween size="m">
      {frequency === "DAILY" && (
        <>
          <DaysField label="Days" days={schedule.days} errorText={error(`${path}.days`)} onChange={(days) => onChange({ ...schedule, days })} />
          <FormField label="Snapshots in each chosen hour" errorText={error(`${path}.perHour`)}>
            <div className="hf-number-field">
              <Input type="number" inputMode="numeric" value={schedule.perHour} onChange={({ detail }) => onChange({ ...schedule, perHour: detail.value })} />
            </div>
          </FormField>
        </>
      )}
      {(frequency === "MONTHLY" || frequency === "YEARLY") && (
        <DayOfMonth day={part.day} locked={lock("day")} errorText={error(`${path}.day`)} onChange={(day) => put({ ...part, day })} />
      )}
      {frequency !== "DAILY" && (
        <HourField hour={part.hour} locked={lock("hour")} errorText={error(`${path}.hour`)} onChange={(hour) => put({ ...part, hour })} />
      )}
      {(frequency === "MONTHLY" || frequency === "YEARLY") && (places.ARCHIVE || part.archive) && (
        <RadioGroup
          ariaLabel={`Where ${frequencyName(frequency).toLowerCase()} data goes`}
          value={part.archive ? "archive" : "backup"}
          onChange={({ detail }) => put(sentTo(part, detail.value === "archive"))}
          items={[
            { value: "backup", label: "Into the backup repository" },
            { value: "archive", label: "Into the archive", description: "In place of a backup of this schedule; the daily and weekly backups feed it." },
          ]}
        />
      )}
      <FormField
        stretch
        label={label}
        errorText={error(`${path}.snapshot.slots`, `${path}.replica.slots`, `${path}.backup.slots`, `${path}.archive.slots`)}
      >
        {frequency === "YEARLY" ? (
          <YearlyMonth part={part} put={put} />
        ) : (
          <SlotGrid
            label={`${frequencyName(frequency)}: ${label.toLowerCase()}`}
            slots={slots}
            legs={legs}
            chosen={(leg) => part.rules[leg].slots}
            onToggle={(leg, slot) => put(toggled(part, leg, slot))}
          />
        )}
      </FormField>
      <div className="hf-row">
        {legs.map((leg) => (
          <KeepField key={leg} leg={leg} path={path} part={part} error={error} put={put} />
        ))}
      </div>
    </SpaceBetween>
  );
}

function YearlyMonth({ part, put }: Pick<PartProps, "part" | "put">) {
  const leg: Leg = part.archive ? "ARCHIVE" : "BACKUP";
  const month = part.rules[leg].slots[0] ?? 1;
  return (
    <Select
      ariaLabel="Month of the yearly schedule"
      selectedOption={{ value: String(month), label: monthName(month) }}
      options={MONTHS.map(({ value }) => ({ value: String(value), label: monthName(value) }))}
      onChange={({ detail }) => put(changedRule(part, leg, { slots: [Number(detail.selectedOption.value)] }))}
    />
  );
}

const KEEP: Record<Leg, string> = {
  SNAPSHOT: "Snapshots to keep",
  REPLICA: "Replicas to keep",
  BACKUP: "Keep backups for",
  ARCHIVE: "Keep archives for",
};

interface KeepFieldProps extends Pick<PartProps, "part" | "put" | "error"> {
  readonly leg: Leg;
  readonly path: string;
}

function KeepField({ leg, path, part, put, error }: KeepFieldProps) {
  const rule = part.rules[leg];
  if (leg !== "SNAPSHOT" && rule.slots.length === 0) return null;
  const at = `${path}.${leg.toLowerCase()}`;
  if (isCounted(leg)) {
    return (
      <FormField label={KEEP[leg]} errorText={error(`${at}.count`)}>
        <div className="hf-number-field">
          <Input type="number" inputMode="numeric" value={rule.count} onChange={({ detail }) => put(changedRule(part, leg, { count: detail.value }))} />
        </div>
      </FormField>
    );
  }
  return (
    <PeriodField
      label={KEEP[leg]}
      value={{ amount: rule.amount, unit: rule.unit }}
      units={path === "schedule.yearly" ? ["YEARS"] : ["DAYS", "MONTHS", "YEARS"]}
      errorText={error(`${at}.period`)}
      onChange={(period) => put(changedRule(part, leg, period))}
    />
  );
}
