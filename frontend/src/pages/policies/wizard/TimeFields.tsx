import { useId } from "react";
import Box from "@cloudscape-design/components/box";
import FormField from "@cloudscape-design/components/form-field";
import Icon from "@cloudscape-design/components/icon";
import Select from "@cloudscape-design/components/select";
import type { Ordinal, Weekday } from "../../../api/generated";
import { dayName, hourName, LAST_DAY, ORDINALS, ordinalName, WEEKDAYS } from "../../../format/calendar";
import type { DayDraft } from "./scheduleDraft";
import "../policies.css";

interface HourFieldProps {
  readonly hour: number;
  /** Why it cannot be chosen here; null when it can. */
  readonly locked: string | null;
  readonly errorText?: string;
  readonly onChange: (hour: number) => void;
}

/** A full hour. One taken over from another schedule is shown, with the reason. */
export function HourField({ hour, locked, errorText, onChange }: HourFieldProps) {
  return (
    <FormField label="Time" errorText={errorText} constraintText={locked && <Locked reason={locked} />}>
      <Select
        disabled={locked !== null}
        selectedOption={{ value: String(hour), label: hourName(hour) }}
        options={[...Array(24).keys()].map((value) => ({ value: String(value), label: hourName(value) }))}
        onChange={({ detail }) => onChange(Number(detail.selectedOption.value))}
      />
    </FormField>
  );
}

interface DayOfMonthProps {
  readonly day: DayDraft;
  readonly locked: string | null;
  readonly errorText?: string;
  /** Without the note on what a fixed day means for schedules. */
  readonly plain?: boolean;
  readonly onChange: (day: DayDraft) => void;
}

const FIXED = "FIXED";

/** The first, second … last weekday of a month, or a fixed day of it. */
export function DayOfMonth({ day, locked, errorText, plain = false, onChange }: DayOfMonthProps) {
  const secondId = useId();
  const ordinals = [
    ...ORDINALS.map((value) => ({ value: value as string, label: ordinalName(value) })),
    { value: FIXED, label: "On day", description: "A fixed day of the month" },
  ];
  const days = [...Array(LAST_DAY).keys()].map((index) => ({
    value: String(index + 1),
    label: index + 1 === LAST_DAY ? "31, or the last day" : String(index + 1),
  }));
  return (
    <FormField
      label="Day of the month"
      errorText={errorText}
      constraintText={
        locked ? (
          <Locked reason={locked} />
        ) : (
          day.fixed && !plain && "On a day when nothing else runs, a restore point of its own is made; its snapshot is removed after about a day."
        )
      }
    >
      <div className="hf-row">
        <Select
          ariaLabel="Which one of the month"
          selectedOption={ordinals.find((option) => option.value === (day.fixed ? FIXED : day.ordinal)) ?? null}
          options={ordinals}
          onChange={({ detail }) => {
            const value = detail.selectedOption.value;
            onChange(value === FIXED ? { ...day, fixed: true } : { ...day, fixed: false, ordinal: value as Ordinal });
          }}
        />
        {day.fixed ? (
          <Select
            controlId={secondId}
            ariaLabel="Day"
            selectedOption={days[day.day - 1] ?? null}
            options={days}
            onChange={({ detail }) => onChange({ ...day, day: Number(detail.selectedOption.value) })}
          />
        ) : (
          <Select
            controlId={secondId}
            ariaLabel="Weekday"
            disabled={locked !== null}
            selectedOption={{ value: day.weekday, label: dayName(day.weekday) }}
            options={WEEKDAYS.map((value) => ({ value, label: dayName(value) }))}
            onChange={({ detail }) => onChange({ ...day, weekday: detail.selectedOption.value as Weekday })}
          />
        )}
      </div>
    </FormField>
  );
}

function Locked({ reason }: { reason: string }) {
  return (
    <Box fontSize="body-s" color="text-body-secondary">
      <Icon name="lock-private" size="small" /> {reason}
    </Box>
  );
}
