import { useState } from "react";
import Checkbox from "@cloudscape-design/components/checkbox";
import ExpandableSection from "@cloudscape-design/components/expandable-section";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import RadioGroup from "@cloudscape-design/components/radio-group";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { AccountRegionsDocument, PolicyChoicesDocument, TakeManualSnapshotDocument, type TakeManualSnapshotInput } from "../../api/generated";
import { fieldError } from "../../api/errors";
import { useCommand, useData } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { count } from "../../format/text";
import { Confirm } from "../../ui/Confirm";
import { CustomTags } from "../../ui/CustomTags";

interface TakeSnapshotProps {
  readonly resources: readonly { readonly id: string; readonly name: string }[];
  readonly onClose: () => void;
}

interface PlaceDraft {
  readonly accountId: string;
  readonly region: string;
  readonly kmsKey: string;
}

/** A snapshot outside every policy: kept until somebody deletes it, or for some days. */
export function TakeSnapshot({ resources, onClose }: TakeSnapshotProps) {
  const [keep, setKeep] = useState(false);
  const [days, setDays] = useState("30");
  const [copyTags, setCopyTags] = useState(true);
  const [tags, setTags] = useState<readonly { key: string; value: string }[]>([]);
  const [elsewhere, setElsewhere] = useState(false);
  const [place, setPlace] = useState<PlaceDraft>({ accountId: "", region: "", kmsKey: "" });
  const take = useCommand(TakeManualSnapshotDocument);
  const notifications = useNotifications();
  const keepDays = Number(days);
  const wrongDays = keep && !(Number.isInteger(keepDays) && keepDays >= 1) ? "Enter a whole number of days." : undefined;

  async function run(): Promise<void> {
    const input: TakeManualSnapshotInput = {
      resourceIds: resources.map((resource) => resource.id),
      keepDays: keep ? keepDays : null,
      copyTags,
      tags: tags.filter((tag) => tag.key.trim() !== ""),
      place: elsewhere ? { accountId: place.accountId, region: place.region, kmsKey: place.kmsKey.trim() || null } : null,
      clientMutationId: take.key,
    };
    const { data } = await take.run({ input });
    if (!data) return;
    if (data.takeManualSnapshot.session) notifications.session(data.takeManualSnapshot.session);
    onClose();
  }

  const what = resources.length === 1 ? (resources[0]?.name ?? "the instance") : count(resources.length, "instance");
  return (
    <Confirm
      title={`Take a snapshot of ${what}`}
      action="Take snapshot"
      busy={take.busy}
      disabled={wrongDays !== undefined || (elsewhere && (place.accountId === "" || place.region === ""))}
      problem={take.problem}
      onConfirm={() => void run()}
      onClose={onClose}
    >
      <div>No policy looks after it: it is not counted, and no rule deletes it.</div>
      <RadioGroup
        ariaLabel="How long it is kept"
        value={keep ? "days" : "stay"}
        onChange={({ detail }) => setKeep(detail.value === "days")}
        items={[
          { value: "stay", label: "Keep it until somebody deletes it" },
          { value: "days", label: "Delete it by itself after some days" },
        ]}
      />
      {keep && (
        <FormField label="Days to keep" errorText={wrongDays ?? fieldError(take.problem, "keepDays")}>
          <Input type="number" inputMode="numeric" value={days} onChange={({ detail }) => setDays(detail.value)} />
        </FormField>
      )}
      <RadioGroup
        ariaLabel="Where it is put"
        value={elsewhere ? "elsewhere" : "here"}
        onChange={({ detail }) => setElsewhere(detail.value === "elsewhere")}
        items={[
          { value: "here", label: "In the instance's account and Region" },
          { value: "elsewhere", label: "In another Region or account" },
        ]}
      />
      {elsewhere && <Place place={place} problem={(...fields) => fieldError(take.problem, ...fields)} onChange={setPlace} />}
      <ExpandableSection headerText="Tags">
        <SpaceBetween size="m">
          <Checkbox checked={copyTags} onChange={({ detail }) => setCopyTags(detail.checked)}>
            Copy the volumes&rsquo; tags
          </Checkbox>
          <FormField label="Tags of its own" errorText={fieldError(take.problem, "tags")}>
            <CustomTags tags={tags} onChange={setTags} />
          </FormField>
        </SpaceBetween>
      </ExpandableSection>
    </Confirm>
  );
}

interface PlaceProps {
  readonly place: PlaceDraft;
  readonly problem: (...fields: string[]) => string | undefined;
  readonly onChange: (place: PlaceDraft) => void;
}

function Place({ place, problem, onChange }: PlaceProps) {
  const choices = useData(PolicyChoicesDocument, {});
  const regions = useData(AccountRegionsDocument, { accountId: place.accountId }, { pause: place.accountId === "" });
  const accounts = choices.data?.accounts.edges.map(({ node }) => ({ value: node.id, label: node.name, description: node.awsAccountId ?? undefined })) ?? [];
  return (
    <SpaceBetween size="m">
      <FormField label="AWS account" errorText={problem("place.accountId")}>
        <Select
          selectedOption={accounts.find((account) => account.value === place.accountId) ?? null}
          options={accounts}
          placeholder="Choose an account"
          statusType={choices.loading ? "loading" : "finished"}
          expandToViewport
          onChange={({ detail }) => onChange({ ...place, accountId: detail.selectedOption.value ?? "", region: "" })}
        />
      </FormField>
      <FormField label="Region" errorText={problem("place.region")}>
        <Select
          selectedOption={place.region === "" ? null : { value: place.region, label: place.region }}
          options={(regions.data?.regions ?? []).map((region) => ({ value: region.name, label: region.name, description: region.title }))}
          filteringType="auto"
          placeholder="Choose a Region"
          statusType={regions.loading && place.accountId !== "" ? "loading" : "finished"}
          expandToViewport
          onChange={({ detail }) => onChange({ ...place, region: detail.selectedOption.value ?? "" })}
        />
      </FormField>
      <FormField
        label={
          <>
            KMS key there <i>- optional</i>
          </>
        }
        constraintText="Id, alias or ARN. Needed for encrypted volumes."
        errorText={problem("place.kmsKey")}
      >
        <Input value={place.kmsKey} spellcheck={false} onChange={({ detail }) => onChange({ ...place, kmsKey: detail.value })} />
      </FormField>
    </SpaceBetween>
  );
}
