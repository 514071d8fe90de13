import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import SpaceBetween from "@cloudscape-design/components/space-between";

interface NameFieldsProps {
  readonly name: string;
  readonly description: string;
  readonly example: string;
  readonly error: (...paths: string[]) => string | undefined;
  readonly onName: (name: string) => void;
  readonly onDescription: (description: string) => void;
}

/** Name and description of a template. */
export function NameFields({ name, description, example, error, onName, onDescription }: NameFieldsProps) {
  return (
    <SpaceBetween size="l">
      <FormField label="Template name" errorText={error("name")}>
        <Input value={name} placeholder={example} onChange={({ detail }) => onName(detail.value)} autoFocus />
      </FormField>
      <FormField
        label={
          <>
            Description <i>- optional</i>
          </>
        }
        errorText={error("description")}
      >
        <Input value={description} onChange={({ detail }) => onDescription(detail.value)} />
      </FormField>
    </SpaceBetween>
  );
}
