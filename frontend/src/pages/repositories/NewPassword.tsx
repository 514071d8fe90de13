import Alert from "@cloudscape-design/components/alert";
import Checkbox from "@cloudscape-design/components/checkbox";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { strength } from "../../format/password";

export interface PasswordParts {
  readonly password: string;
  readonly again: string;
  readonly kept: boolean;
}

interface NewPasswordProps extends PasswordParts {
  readonly change: (part: Partial<PasswordParts>) => void;
  readonly error: (field: string) => string | undefined;
}

/** A password typed twice, how hard it is to guess, and the promise to keep it. */
export function NewPassword({ password, again, kept, change, error }: NewPasswordProps) {
  const rating = strength(password);
  return (
    <SpaceBetween size="l">
      <Alert type="warning" header="Keep this password safe">
        Everything in the repository is encrypted with it. With the password and the folder alone the data can be restored, even without Holdfast;
        without the password nobody can, and it cannot be recovered.
      </Alert>
      <FormField label="Password" constraintText={password !== "" && rating.advice} errorText={error("password")}>
        <SpaceBetween size="xs">
          <Input type="password" value={password} autoComplete="new-password" onChange={({ detail }) => change({ password: detail.value })} />
          {password !== "" && <Meter score={rating.score} label={rating.label} />}
        </SpaceBetween>
      </FormField>
      <FormField label="Password again" errorText={error("again")}>
        <Input type="password" value={again} autoComplete="new-password" onChange={({ detail }) => change({ again: detail.value })} />
      </FormField>
      <FormField errorText={error("kept")}>
        <Checkbox checked={kept} onChange={({ detail }) => change({ kept: detail.checked })}>
          The password is kept somewhere safe, outside this appliance.
        </Checkbox>
      </FormField>
    </SpaceBetween>
  );
}

function Meter({ score, label }: { score: number; label: string }) {
  return (
    <div role="status" aria-label={`Password strength: ${label}`}>
      <div className="hf-password-meter" aria-hidden="true">
        {[1, 2, 3, 4].map((step) => (
          <i key={step} data-on={score >= step ? score : undefined} />
        ))}
      </div>
      {label}
    </div>
  );
}
