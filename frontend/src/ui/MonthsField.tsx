import FormField from "@cloudscape-design/components/form-field";
import ToggleButton from "@cloudscape-design/components/toggle-button";
import { monthName } from "../format/calendar";

interface MonthsFieldProps {
  readonly label: string;
  readonly months: readonly number[];
  readonly errorText?: string;
  readonly onChange: (months: number[]) => void;
}

const ALL = [...Array(12).keys()].map((index) => index + 1);

/** Months as switches. */
export function MonthsField({ label, months, errorText, onChange }: MonthsFieldProps) {
  return (
    <FormField label={label} errorText={errorText} stretch>
      <div className="hf-row hf-tight" role="group" aria-label={label}>
        {ALL.map((month) => (
          <ToggleButton
            key={month}
            pressed={months.includes(month)}
            ariaLabel={monthName(month)}
            onChange={({ detail }) => onChange(ALL.filter((each) => (each === month ? detail.pressed : months.includes(each))))}
          >
            {monthName(month, true)}
          </ToggleButton>
        ))}
      </div>
    </FormField>
  );
}
