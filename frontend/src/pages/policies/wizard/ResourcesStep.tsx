import Container from "@cloudscape-design/components/container";
import Checkbox from "@cloudscape-design/components/checkbox";
import ExpandableSection from "@cloudscape-design/components/expandable-section";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Multiselect from "@cloudscape-design/components/multiselect";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Textarea from "@cloudscape-design/components/textarea";
import Tiles from "@cloudscape-design/components/tiles";
import { CoveredTable } from "../CoveredTable";
import type { StepProps } from "./stepProps";
import { TagConditions } from "./TagConditions";

export function ResourcesStep(props: StepProps) {
  const { draft, change, error, candidates, names } = props;
  const options = candidates.items
    .filter((resource) => draft.regions.includes(resource.region))
    .map((resource) => ({ value: resource.id, label: resource.name, description: `${resource.awsId} in ${resource.region}` }));
  const known = candidates.items.flatMap((resource) => resource.tags);
  const picker = (ids: readonly string[], onChange: (ids: string[]) => void) => (
    <Multiselect
      selectedOptions={ids.map((id) => ({ value: id, label: names.get(id) ?? "No longer known" }))}
      options={options}
      placeholder="Choose instances"
      filteringType="auto"
      statusType={candidates.loading ? "loading" : "finished"}
      empty="No instance is known in the chosen Regions. Rescan them on the Resources page."
      onChange={({ detail }) => onChange(detail.selectedOptions.map((option) => option.value ?? ""))}
    />
  );
  return (
    <SpaceBetween size="l">
      <Container header={<Header variant="h2">Which instances</Header>}>
        <SpaceBetween size="l">
          <Tiles
            ariaLabel="Which instances"
            value={draft.all ? "all" : "listed"}
            onChange={({ detail }) => change({ all: detail.value === "all" })}
            items={[
              { value: "all", label: "All instances", description: "Also those that are created later." },
              { value: "listed", label: "Some instances", description: "Named one by one, or found by a tag." },
            ]}
          />
          {!draft.all && (
            <>
              <FormField label="Instances" errorText={error("scope.resourceIds")}>
                {picker(draft.resourceIds, (resourceIds) => change({ resourceIds }))}
              </FormField>
              <FormField label="Tags" description="Every instance that has one of these, also later ones." errorText={error("scope.tags")}>
                <TagConditions tags={draft.tags} known={known} empty="No tag selects instances." onChange={(tags) => change({ tags })} />
              </FormField>
            </>
          )}
        </SpaceBetween>
      </Container>
      <ExpandableSection
        variant="container"
        headerText="Exclusions"
        headerDescription="What is excluded is never protected by this policy, whatever else selects it."
        defaultExpanded={draft.excludedResourceIds.length + draft.excludedTags.length > 0}
      >
        <SpaceBetween size="l">
          <FormField label="Exclude instances" errorText={error("scope.excludedResourceIds")}>
            {picker(draft.excludedResourceIds, (excludedResourceIds) => change({ excludedResourceIds }))}
          </FormField>
          <FormField label="Exclude by tag" errorText={error("scope.excludedTags")}>
            <TagConditions
              tags={draft.excludedTags}
              known={known}
              empty="No tag excludes instances."
              onChange={(excludedTags) => change({ excludedTags })}
            />
          </FormField>
        </SpaceBetween>
      </ExpandableSection>
      <Volumes {...props} />
      <CoveredTable answer={props.answer} />
    </SpaceBetween>
  );
}

function Volumes({ draft, change, error }: StepProps) {
  return (
    <ExpandableSection
      variant="container"
      headerText="Volumes left out"
      headerDescription="Of the protected instances, all volumes are saved but these."
      defaultExpanded={draft.excludeSystemVolume || draft.excludedVolumeIds !== "" || draft.excludedVolumeTags.length > 0}
    >
      <SpaceBetween size="l">
        <Checkbox
          checked={draft.excludeSystemVolume}
          onChange={({ detail }) => change({ excludeSystemVolume: detail.checked })}
          description="The volume an instance starts from. Without it a whole instance cannot be restored, only its other volumes."
        >
          Leave out system volumes
        </Checkbox>
        <FormField
          label="Volume ids"
          constraintText="Separated by commas or lines, such as vol-0123456789abcdef0."
          errorText={error("scope.excludedVolumes.volumeIds")}
        >
          <Textarea value={draft.excludedVolumeIds} rows={2} spellcheck={false} onChange={({ detail }) => change({ excludedVolumeIds: detail.value })} />
        </FormField>
        <FormField label="Volume tags" description="Volumes that have one of these, also later ones." errorText={error("scope.excludedVolumes.tags")}>
          <TagConditions
            tags={draft.excludedVolumeTags}
            known={[]}
            empty="No tag leaves out volumes."
            onChange={(excludedVolumeTags) => change({ excludedVolumeTags })}
          />
        </FormField>
      </SpaceBetween>
    </ExpandableSection>
  );
}
