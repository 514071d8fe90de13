import AttributeEditor from "@cloudscape-design/components/attribute-editor";
import FormField from "@cloudscape-design/components/form-field";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { AllRegionsDocument, type PolicyChoicesQuery } from "../../api/generated";
import { useData } from "../../api/useData";
import { paths } from "../../app/paths";
import { STORAGE_CLASS_SHORT } from "../../format/words";
import { RouterLink } from "../../ui/RouterLink";

export interface LocationDraft {
  readonly defaultId: string;
  readonly regions: readonly { readonly region: string; readonly repositoryId: string }[];
}

interface LocationFormProps {
  readonly path: string;
  readonly draft: LocationDraft;
  readonly repositories: readonly PolicyChoicesQuery["repositories"]["edges"][number]["node"][];
  readonly error: (...paths: string[]) => string | undefined;
  readonly onChange: (draft: LocationDraft) => void;
}

/** A repository for all Regions, and others for some of them. */
export function LocationForm({ path, draft, repositories, error, onChange }: LocationFormProps) {
  const regions = useData(AllRegionsDocument, {}).data?.regions ?? [];
  const options = repositories.map((each) => ({
    value: each.id,
    label: each.name,
    description: each.url,
    labelTag: each.storageClass === "STANDARD" ? undefined : STORAGE_CLASS_SHORT[each.storageClass],
  }));
  const chosen = (id: string) => options.find((option) => option.value === id) ?? null;
  const put = (index: number, part: Partial<LocationDraft["regions"][number]>): void =>
    onChange({ ...draft, regions: draft.regions.map((row, each) => (each === index ? { ...row, ...part } : row)) });
  return (
    <SpaceBetween size="l">
      <FormField
        label={path === "backup" ? "Repository" : "Archive repository"}
        description="For every Region without one of its own."
        constraintText={
          repositories.length === 0 && (
            <>
              There is none yet.{" "}
              <RouterLink to={paths.newRepository} fontSize="body-s">
                Add a repository
              </RouterLink>
            </>
          )
        }
        errorText={error(`${path}.defaultId`, `${path}.default`)}
      >
        <Select
          selectedOption={chosen(draft.defaultId)}
          options={options}
          placeholder="Choose a repository"
          onChange={({ detail }) => onChange({ ...draft, defaultId: detail.selectedOption.value ?? "" })}
        />
      </FormField>
      <FormField
        label={
          <>
            Regions with a repository of their own <i>- optional</i>
          </>
        }
        errorText={error(`${path}.regions`)}
      >
        <AttributeEditor
          items={[...draft.regions]}
          empty="None: all Regions use the repository above."
          addButtonText="Add Region"
          removeButtonText="Remove"
          onAddButtonClick={() => onChange({ ...draft, regions: [...draft.regions, { region: "", repositoryId: "" }] })}
          onRemoveButtonClick={({ detail }) => onChange({ ...draft, regions: draft.regions.filter((_row, index) => index !== detail.itemIndex) })}
          definition={[
            {
              label: "Region",
              control: (row, index) => (
                <Select
                  ariaLabel={`Region of row ${index + 1}`}
                  selectedOption={row.region === "" ? null : { value: row.region, label: row.region }}
                  options={regions.map((region) => ({ value: region.name, label: region.name, description: region.title }))}
                  filteringType="auto"
                  placeholder="Choose a Region"
                  expandToViewport
                  onChange={({ detail }) => put(index, { region: detail.selectedOption.value ?? "" })}
                />
              ),
            },
            {
              label: "Repository",
              control: (row, index) => (
                <Select
                  ariaLabel={`Repository of row ${index + 1}`}
                  selectedOption={chosen(row.repositoryId)}
                  options={options}
                  placeholder="Choose a repository"
                  expandToViewport
                  onChange={({ detail }) => put(index, { repositoryId: detail.selectedOption.value ?? "" })}
                />
              ),
            },
          ]}
        />
      </FormField>
    </SpaceBetween>
  );
}
