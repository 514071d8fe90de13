import Button from "@cloudscape-design/components/button";
import FormField from "@cloudscape-design/components/form-field";
import ToggleButton from "@cloudscape-design/components/toggle-button";
import type { Weekday } from "../api/generated";
import { dayName, WEEKDAYS, WORKDAYS } from "../format/calendar";

interface DaysFieldProps {
  readonly label: string;
  readonly days: readonly Weekday[];
  readonly errorText?: string;
  readonly onChange: (days: readonly Weekday[]) => void;
}

/** Weekdays as switches, with the two usual choices at hand. */
export function DaysField({ label, days, errorText, onChange }: DaysFieldProps) {
  return (
    <FormField label={label} errorText={errorText} stretch>
      <div className="hf-row hf-tight" role="group" aria-label={label}>
        {WEEKDAYS.map((day) => (
          <ToggleButton
            key={day}
            pressed={days.includes(day)}
            ariaLabel={dayName(day)}
            onChange={({ detail }) => onChange(WEEKDAYS.filter((each) => (each === day ? detail.pressed : days.includes(each))))}
          >
            {dayName(day, true)}
          </ToggleButton>
        ))}
        <Button variant="link" onClick={() => onChange(WEEKDAYS)}>
          Every day
        </Button>
        <Button variant="link" onClick={() => onChange(WORKDAYS)}>
          Work days
        </Button>
      </div>
    </FormField>
  );
}
