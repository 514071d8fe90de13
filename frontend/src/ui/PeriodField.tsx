import { useId } from "react";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import Select from "@cloudscape-design/components/select";
import type { PeriodUnit } from "../api/generated";

/** A length of time while it is typed. */
export interface PeriodDraft {
  readonly amount: string;
  readonly unit: PeriodUnit;
}

interface PeriodFieldProps {
  readonly label: string;
  readonly value: PeriodDraft;
  readonly units?: readonly PeriodUnit[];
  readonly errorText?: string;
  readonly onChange: (value: PeriodDraft) => void;
}

const NAME: Record<PeriodUnit, string> = { DAYS: "days", MONTHS: "months", YEARS: "years" };

/** A length of time: a number and its unit. */
export function PeriodField({ label, value, units = ["DAYS", "MONTHS", "YEARS"], errorText, onChange }: PeriodFieldProps) {
  const unitId = useId();
  const options = units.map((unit) => ({ value: unit, label: NAME[unit] }));
  return (
    <FormField label={label} errorText={errorText}>
      <div className="hf-amount">
        <Input
          type="number"
          inputMode="numeric"
          value={value.amount}
          invalid={errorText !== undefined}
          onChange={({ detail }) => onChange({ amount: detail.value, unit: value.unit })}
        />
        <Select
          controlId={unitId}
          ariaLabel={`${label}: unit`}
          selectedOption={{ value: value.unit, label: NAME[value.unit] }}
          options={options}
          disabled={units.length === 1}
          onChange={({ detail }) => onChange({ amount: value.amount, unit: detail.selectedOption.value as PeriodUnit })}
        />
      </div>
    </FormField>
  );
}
