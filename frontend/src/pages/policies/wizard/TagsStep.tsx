import Checkbox from "@cloudscape-design/components/checkbox";
import Container from "@cloudscape-design/components/container";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { CUSTOM_TAGS_MAX, CustomTags } from "../../../ui/CustomTags";
import type { StepProps } from "./stepProps";

export function TagsStep({ draft, change, error }: StepProps) {
  return (
    <Container header={<Header variant="h2" description="They go onto every snapshot and replica in AWS.">Tags</Header>}>
      <SpaceBetween size="l">
        <Checkbox checked={draft.copyTags} onChange={({ detail }) => change({ copyTags: detail.checked })}>
          Copy the volumes&rsquo; tags
        </Checkbox>
        <FormField
          label={
            <>
              Tags of its own <i>- optional</i>
            </>
          }
          constraintText={`Up to ${CUSTOM_TAGS_MAX}.`}
          errorText={error("tags")}
        >
          <CustomTags tags={draft.customTags} onChange={(customTags) => change({ customTags })} />
        </FormField>
      </SpaceBetween>
    </Container>
  );
}
