import { useState } from "react";
import Checkbox from "@cloudscape-design/components/checkbox";
import Container from "@cloudscape-design/components/container";
import ExpandableSection from "@cloudscape-design/components/expandable-section";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import Multiselect from "@cloudscape-design/components/multiselect";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Wizard from "@cloudscape-design/components/wizard";
import { useNavigate, useParams } from "react-router";
import { StartInstanceRestoreDocument, type InstanceRestoreInput } from "../../api/generated";
import { fieldError, type Problem } from "../../api/errors";
import { useCommand } from "../../api/useData";
import { ProblemText } from "../../app/notifications";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { count } from "../../format/text";
import { gib } from "../../format/size";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { Waiting } from "../../ui/Waiting";
import { WIZARD_WORDS } from "../../ui/wizardWords";
import NotFound from "../NotFound";
import { needsRetrieval } from "./archives";
import { RetrievalContainer, retrievalProblem, retrievalWords, USUAL_RETRIEVAL, type RetrievalChoice } from "./RetrievalFields";
import { readRecord } from "../resources/record";
import { PlaceFields } from "./PlaceFields";
import { PointSummary, SnapshotLimits } from "./PointSummary";
import { Reason } from "./RestoreVolumes";
import { usePoint, useTargets, type PointDetail } from "./usePoint";

/** What a person chooses; an empty text means: as recorded. */
interface Choice {
  readonly accountId: string;
  readonly region: string;
  readonly name: string;
  readonly subnetId: string;
  readonly securityGroupIds: readonly string[];
  readonly instanceType: string;
  readonly profile: string;
  readonly imageId: string;
  readonly powerOn: boolean;
  readonly retrieval: RetrievalChoice;
  readonly reason: string;
}

export default function RestoreInstance() {
  const { id = "" } = useParams();
  const { point, missing, loading, problem, refresh } = usePoint(id);
  if (missing) return <NotFound what="restore point" />;
  const above = [
    { text: "Protected data", href: paths.protectedData },
    ...(point ? [{ text: point.resourceName, href: paths.protectedResource(point.resource.id) }] : []),
  ];
  return (
    <Page title="Restore instance" above={above} contentType="wizard">
      {problem && <ProblemAlert header="The restore point cannot be shown" problem={problem} onRetry={refresh} />}
      {loading && <Waiting />}
      {point && <Steps point={point} />}
    </Page>
  );
}

function Steps({ point }: { point: PointDetail }) {
  const [step, setStep] = useState(0);
  const [tried, setTried] = useState(false);
  const [choice, setChoice] = useState<Choice>({
    accountId: point.resource.account.id,
    region: point.region,
    name: `${point.resourceName}-restored`,
    subnetId: "",
    securityGroupIds: [],
    instanceType: "",
    profile: "",
    imageId: "",
    powerOn: true,
    retrieval: USUAL_RETRIEVAL,
    reason: "",
  });
  const where = useTargets(choice.accountId, choice.region);
  const start = useCommand(StartInstanceRestoreDocument);
  const navigate = useNavigate();
  const home = choice.accountId === point.resource.account.id && choice.region === point.region;
  const change = (part: Partial<Choice>): void => {
    setChoice((now) => ({ ...now, ...part }));
    start.reset();
  };

  async function submit(): Promise<void> {
    const { data } = await start.run({ input: { ...inputOf(point, choice), clientMutationId: start.key } });
    const session = data?.startInstanceRestore.session;
    if (!session) return;
    void navigate(paths.session(session.id));
  }

  const errors: Record<string, string> = {};
  if (choice.region === "") errors.region = "Choose a Region.";
  if (!home && choice.subnetId === "") errors.subnetId = "Choose a subnet: the recorded one is in another account or Region.";
  if (choice.name.trim() === "") errors.name = "Give the instance a name.";
  const days = retrievalProblem(point, choice.retrieval);
  if (days) errors.retrieval = days;
  const shown = tried ? errors : {};
  const errorText = start.problem ? <ProblemText problem={start.problem} /> : undefined;
  const fields: FieldsProps = { point, choice, where, home, errors: shown, problem: start.problem, change };
  return (
    <Wizard
      activeStepIndex={step}
      i18nStrings={WIZARD_WORDS}
      submitButtonText="Restore"
      isLoadingNextStep={start.busy}
      onCancel={() => void navigate(paths.protectedResource(point.resource.id))}
      onSubmit={() => void submit()}
      onNavigate={({ detail }) => {
        const forward = detail.requestedStepIndex > step;
        const needed = step === 0 ? ["region", "subnetId", "retrieval"] : ["name"];
        const blocked = forward && needed.some((field) => field in errors);
        setTried(blocked);
        if (!blocked) setStep(detail.requestedStepIndex);
      }}
      steps={[
        {
          title: "Where to",
          errorText,
          content: (
            <SpaceBetween size="l">
              <PointSummary point={point} />
              <RetrievalContainer
                point={point}
                disks={null}
                choice={choice.retrieval}
                problem={start.problem}
                onChange={(retrieval) => change({ retrieval })}
              />
              <NetworkFields {...fields} />
            </SpaceBetween>
          ),
        },
        { title: "Instance", errorText, content: <InstanceFields {...fields} /> },
        {
          title: "Review",
          errorText,
          content: (
            <SpaceBetween size="l">
              <Review {...fields} />
              <Reason value={choice.reason} onChange={(reason) => change({ reason })} />
            </SpaceBetween>
          ),
        },
      ]}
    />
  );
}

function inputOf(point: PointDetail, choice: Choice): InstanceRestoreInput {
  return {
    pointId: point.id,
    accountId: choice.accountId,
    region: choice.region,
    name: choice.name.trim(),
    subnetId: choice.subnetId || null,
    securityGroupIds: choice.securityGroupIds,
    instanceType: choice.instanceType || null,
    iamInstanceProfile: choice.profile || null,
    imageId: choice.imageId.trim() || null,
    powerOn: choice.powerOn,
    retrievalMode: choice.retrieval.mode,
    retrievalDays: Number(choice.retrieval.days),
    reason: choice.reason.trim(),
  };
}

interface FieldsProps {
  readonly point: PointDetail;
  readonly choice: Choice;
  readonly where: ReturnType<typeof useTargets>;
  /** Same account and Region as recorded: then the recorded network can be used again. */
  readonly home: boolean;
  readonly errors: Readonly<Record<string, string>>;
  readonly problem: Problem | null;
  readonly change: (part: Partial<Choice>) => void;
}

function NetworkFields({ point, choice, where, home, errors, problem, change }: FieldsProps) {
  const { instance } = readRecord(point.details);
  const targets = where.targets.data?.restoreTargets;
  const loading = where.targets.loading && choice.region !== "" ? "loading" : "finished";
  const recorded = { value: "", label: "As recorded", description: instance.subnetId ?? undefined };
  const subnets = (targets?.subnets ?? []).map((subnet) => ({
    value: subnet.id,
    label: subnet.name && subnet.name !== subnet.id ? `${subnet.name} (${subnet.id})` : subnet.id,
    description: `${subnet.zone} · ${subnet.cidr} · ${subnet.vpcId}`,
  }));
  const vpc = choice.subnetId === "" ? instance.vpcId : targets?.subnets.find((subnet) => subnet.id === choice.subnetId)?.vpcId;
  const groups = (targets?.securityGroups ?? [])
    .filter((group) => !vpc || group.vpcId === vpc)
    .map((group) => ({ value: group.id, label: group.name || group.id, description: group.id }));
  return (
    <Container header={<Header variant="h2">Account, Region and network</Header>}>
      <SpaceBetween size="l">
        <SnapshotLimits point={point} />
        <PlaceFields
          point={point}
          accountId={choice.accountId}
          region={choice.region}
          where={where}
          problem={problem}
          onChange={(accountId, region) => change({ accountId, region, subnetId: "", securityGroupIds: [] })}
        />
        <FormField label="Subnet" errorText={errors.subnetId ?? fieldError(problem, "subnetId")}>
          <Select
            selectedOption={subnets.find((subnet) => subnet.value === choice.subnetId) ?? (home ? recorded : null)}
            options={home ? [recorded, ...subnets] : subnets}
            placeholder="Choose a subnet"
            filteringType="auto"
            statusType={loading}
            onChange={({ detail }) => change({ subnetId: detail.selectedOption.value ?? "", securityGroupIds: [] })}
          />
        </FormField>
        <FormField
          label="Security groups"
          description={home ? "None chosen: as recorded." : "None chosen: the VPC's default group."}
          errorText={fieldError(problem, "securityGroupIds")}
        >
          <Multiselect
            selectedOptions={choice.securityGroupIds.map((id) => groups.find((group) => group.value === id) ?? { value: id, label: id })}
            options={groups}
            placeholder={home ? `As recorded${instance.securityGroupIds.length > 0 ? `: ${instance.securityGroupIds.join(", ")}` : ""}` : "Default group"}
            filteringType="auto"
            statusType={loading}
            onChange={({ detail }) => change({ securityGroupIds: detail.selectedOptions.map((option) => option.value ?? "") })}
          />
        </FormField>
      </SpaceBetween>
    </Container>
  );
}

function InstanceFields({ point, choice, where, errors, problem, change }: FieldsProps) {
  const { instance } = readRecord(point.details);
  const targets = where.targets.data?.restoreTargets;
  const asRecorded = (detail: string | null) => ({ value: "", label: detail ? `As recorded: ${detail}` : "As recorded" });
  const types = [asRecorded(instance.instanceType), ...(targets?.instanceTypes ?? []).map((value) => ({ value, label: value }))];
  const profiles = [asRecorded(instance.profile ?? "none"), ...(targets?.instanceProfiles ?? []).map((value) => ({ value, label: value }))];
  return (
    <Container header={<Header variant="h2">The new instance</Header>}>
      <SpaceBetween size="l">
        <FormField label="Name" errorText={errors.name ?? fieldError(problem, "name")}>
          <Input value={choice.name} onChange={({ detail }) => change({ name: detail.value })} />
        </FormField>
        <FormField label="Instance type" errorText={fieldError(problem, "instanceType")}>
          <Select
            selectedOption={types.find((type) => type.value === choice.instanceType) ?? types[0]!}
            options={types}
            filteringType="auto"
            virtualScroll
            onChange={({ detail }) => change({ instanceType: detail.selectedOption.value ?? "" })}
          />
        </FormField>
        <FormField label="Instance profile" description="The IAM role the instance runs with." errorText={fieldError(problem, "iamInstanceProfile")}>
          <Select
            selectedOption={profiles.find((profile) => profile.value === choice.profile) ?? profiles[0]!}
            options={profiles}
            filteringType="auto"
            onChange={({ detail }) => change({ profile: detail.selectedOption.value ?? "" })}
          />
        </FormField>
        <Checkbox checked={choice.powerOn} onChange={({ detail }) => change({ powerOn: detail.checked })}>
          Start it when the restore is done
        </Checkbox>
        <ExpandableSection headerText="If the recorded image no longer exists">
          <FormField
            label={<>Image <i>- optional</i></>}
            description="The instance is created from this image; its disks are then replaced by the restored ones."
            errorText={fieldError(problem, "imageId")}
          >
            <Input value={choice.imageId} placeholder={instance.imageId ?? "ami-…"} onChange={({ detail }) => change({ imageId: detail.value })} />
          </FormField>
        </ExpandableSection>
      </SpaceBetween>
    </Container>
  );
}

function Review({ point, choice, where }: FieldsProps) {
  const { instance } = readRecord(point.details);
  const account = where.accounts.find((each) => each.id === choice.accountId)?.name ?? point.resource.account.name;
  return (
    <Container header={<Header variant="h2" description="A new instance is created; the old one, if it still exists, is not touched.">What will happen</Header>}>
      <KeyValuePairs
        columns={3}
        items={[
          { label: "New instance", value: choice.name },
          { label: "Disks", value: `${count(point.disks.length, "volume")}, ${gib(point.sizeBytes)}` },
          { label: "Where", value: `${choice.region}, ${account}` },
          { label: "Subnet", value: choice.subnetId || `As recorded: ${instance.subnetId ?? "default"}` },
          { label: "Security groups", value: choice.securityGroupIds.join(", ") || "As recorded" },
          { label: "Instance type", value: choice.instanceType || `As recorded: ${instance.instanceType ?? "unknown"}` },
          { label: "Instance profile", value: choice.profile || `As recorded: ${instance.profile ?? "none"}` },
          { label: "Tags", value: `As recorded (${count(instance.tags.length, "tag")})` },
          ...(needsRetrieval(point) ? [{ label: "Before", value: retrievalWords(choice.retrieval) }] : []),
          { label: "Afterwards", value: choice.powerOn ? "Started" : "Left stopped" },
        ]}
      />
    </Container>
  );
}
