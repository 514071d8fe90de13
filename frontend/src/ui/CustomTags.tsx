import AttributeEditor from "@cloudscape-design/components/attribute-editor";
import Input from "@cloudscape-design/components/input";

export const CUSTOM_TAGS_MAX = 5;

interface CustomTag {
  readonly key: string;
  readonly value: string;
}

/** Tags to put onto what is made in AWS. */
export function CustomTags({ tags, onChange }: { tags: readonly CustomTag[]; onChange: (tags: CustomTag[]) => void }) {
  const change = (index: number, part: Partial<CustomTag>): void =>
    onChange(tags.map((tag, each) => (each === index ? { ...tag, ...part } : tag)));
  return (
    <AttributeEditor
      items={[...tags]}
      empty="No tag of its own."
      addButtonText="Add tag"
      removeButtonText="Remove"
      disableAddButton={tags.length >= CUSTOM_TAGS_MAX}
      onAddButtonClick={() => onChange([...tags, { key: "", value: "" }])}
      onRemoveButtonClick={({ detail }) => onChange(tags.filter((_tag, index) => index !== detail.itemIndex))}
      definition={[
        {
          label: "Key",
          control: (tag, index) => (
            <Input value={tag.key} placeholder="CostCenter" ariaLabel={`Key of tag ${index + 1}`} onChange={({ detail }) => change(index, { key: detail.value })} />
          ),
        },
        {
          label: "Value",
          control: (tag, index) => (
            <Input value={tag.value} ariaLabel={`Value of tag ${index + 1}`} onChange={({ detail }) => change(index, { value: detail.value })} />
          ),
        },
      ]}
    />
  );
}
