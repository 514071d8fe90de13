import AttributeEditor from "@cloudscape-design/components/attribute-editor";
import Autosuggest from "@cloudscape-design/components/autosuggest";
import type { TagCondition } from "../draft";

interface TagConditionsProps {
  readonly tags: readonly TagCondition[];
  /** Tags that exist, offered as suggestions. */
  readonly known: readonly { readonly key: string; readonly value: string }[];
  readonly empty: string;
  readonly onChange: (tags: TagCondition[]) => void;
}

/** Tag conditions as rows of key and value. */
export function TagConditions({ tags, known, empty, onChange }: TagConditionsProps) {
  const keys = distinct(known.map((tag) => tag.key));
  const change = (index: number, part: Partial<TagCondition>): void =>
    onChange(tags.map((tag, each) => (each === index ? { ...tag, ...part } : tag)));
  return (
    <AttributeEditor
      items={[...tags]}
      empty={empty}
      addButtonText="Add tag"
      removeButtonText="Remove"
      onAddButtonClick={() => onChange([...tags, { key: "", value: null }])}
      onRemoveButtonClick={({ detail }) => onChange(tags.filter((_tag, index) => index !== detail.itemIndex))}
      definition={[
        {
          label: "Key",
          control: (tag, index) => (
            <Autosuggest
              value={tag.key}
              onChange={({ detail }) => change(index, { key: detail.value })}
              options={keys.map((value) => ({ value }))}
              enteredTextLabel={(text) => `Use “${text}”`}
              placeholder="Environment"
              ariaLabel="Tag key"
              expandToViewport
            />
          ),
        },
        {
          label: "Value",
          constraintText: "Empty: any value",
          control: (tag, index) => (
            <Autosuggest
              value={tag.value ?? ""}
              onChange={({ detail }) => change(index, { value: detail.value === "" ? null : detail.value })}
              options={distinct(known.filter((each) => each.key === tag.key).map((each) => each.value)).map((value) => ({ value }))}
              enteredTextLabel={(text) => `Use “${text}”`}
              placeholder="Any value"
              ariaLabel="Tag value"
              expandToViewport
            />
          ),
        },
      ]}
    />
  );
}

function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts.filter(Boolean))].sort();
}
