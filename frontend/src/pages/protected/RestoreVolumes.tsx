import { useEffect, useState } from "react";
import Container from "@cloudscape-design/components/container";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Table from "@cloudscape-design/components/table";
import Wizard from "@cloudscape-design/components/wizard";
import { useNavigate, useParams } from "react-router";
import { StartVolumeRestoreDocument } from "../../api/generated";
import { fieldError } from "../../api/errors";
import { useCommand } from "../../api/useData";
import { ProblemText } from "../../app/notifications";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { count } from "../../format/text";
import { gib } from "../../format/size";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { Waiting } from "../../ui/Waiting";
import { needsRetrieval } from "./archives";
import { RetrievalContainer, retrievalProblem, retrievalWords, USUAL_RETRIEVAL } from "./RetrievalFields";
import { readRecord } from "../resources/record";
import NotFound from "../NotFound";
import { PlaceFields } from "./PlaceFields";
import { PointSummary, SnapshotLimits } from "./PointSummary";
import { usePoint, useTargets, type PointDetail } from "./usePoint";
import { WIZARD_WORDS } from "../../ui/wizardWords";

/** Volume types offered besides the recorded one; the server refuses what the Region does not have. */
const VOLUME_TYPES = ["gp3", "gp2", "io2", "io1", "st1", "sc1"];

export default function RestoreVolumes() {
  const { id = "" } = useParams();
  const { point, missing, loading, problem, refresh } = usePoint(id);
  if (missing) return <NotFound what="restore point" />;
  const above = [
    { text: "Protected data", href: paths.protectedData },
    ...(point ? [{ text: point.resourceName, href: paths.protectedResource(point.resource.id) }] : []),
  ];
  return (
    <Page title="Restore volumes" above={above} contentType="wizard">
      {problem && <ProblemAlert header="The restore point cannot be shown" problem={problem} onRetry={refresh} />}
      {loading && <Waiting />}
      {point && <Steps point={point} />}
    </Page>
  );
}

function Steps({ point }: { point: PointDetail }) {
  const recorded = readRecord(point.details);
  const [step, setStep] = useState(0);
  const [disks, setDisks] = useState(point.disks);
  const [accountId, setAccountId] = useState(point.resource.account.id);
  const [region, setRegion] = useState(point.region);
  const [zone, setZone] = useState(recorded.instance.zone ?? "");
  const [volumeType, setVolumeType] = useState("");
  const [suffix, setSuffix] = useState("-restored");
  const [retrieval, setRetrieval] = useState(USUAL_RETRIEVAL);
  const [reason, setReason] = useState("");
  const [tried, setTried] = useState(false);
  const where = useTargets(accountId, region);
  const start = useCommand(StartVolumeRestoreDocument);
  const navigate = useNavigate();
  const zones = where.targets.data?.restoreTargets.zones;

  useEffect(() => {
    // The recorded zone is only a proposal: it may not exist in another Region.
    if (zones && !zones.includes(zone)) setZone(zones[0] ?? "");
  }, [zone, zones]);

  async function submit(): Promise<void> {
    const { data } = await start.run({
      input: {
        pointId: point.id,
        accountId,
        region,
        zone,
        disks: disks.length === point.disks.length ? [] : disks.map((disk) => disk.diskId),
        nameSuffix: suffix,
        volumeType: volumeType || null,
        retrievalMode: retrieval.mode,
        retrievalDays: Number(retrieval.days),
        reason: reason.trim(),
        clientMutationId: start.key,
      },
    });
    const session = data?.startVolumeRestore.session;
    if (!session) return;
    void navigate(paths.session(session.id));
  }

  const missingZone = tried && zone === "" ? "Choose an Availability Zone." : undefined;
  const errorText = start.problem ? <ProblemText problem={start.problem} /> : undefined;
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
        const blocked = forward && ((step === 0 && (disks.length === 0 || retrievalProblem(point, retrieval) !== undefined)) || (step === 1 && (zone === "" || region === "")));
        setTried(blocked);
        if (!blocked) {
          start.reset();
          setStep(detail.requestedStepIndex);
        }
      }}
      steps={[
        {
          title: "Volumes",
          errorText: errorText ?? (tried && disks.length === 0 ? "Choose at least one volume." : undefined),
          content: (
            <SpaceBetween size="l">
              <PointSummary point={point} />
              <Table
                variant="container"
                selectionType="multi"
                header={
                  <Header counter={`(${disks.length} of ${point.disks.length})`} description="Each becomes a new volume; nothing existing is changed.">
                    Volumes
                  </Header>
                }
                items={point.disks}
                trackBy="diskId"
                selectedItems={[...disks]}
                onSelectionChange={({ detail }) => setDisks(detail.selectedItems)}
                ariaLabels={{
                  selectionGroupLabel: "Volumes",
                  allItemsSelectionLabel: () => "Select all volumes",
                  itemSelectionLabel: (_state, disk) => `Select ${disk.device || disk.diskId}`,
                }}
                columnDefinitions={[
                  { id: "device", header: "Device", isRowHeader: true, cell: (disk) => disk.device || "–" },
                  { id: "id", header: "Volume at that time", cell: (disk) => disk.diskId },
                  { id: "size", header: "Size", cell: (disk) => gib(disk.sizeBytes) },
                  {
                    id: "type",
                    header: "Type",
                    cell: (disk) => recorded.volumes.find((volume) => volume.volumeId === disk.diskId)?.volumeType ?? "–",
                  },
                ]}
              />
              <RetrievalContainer
                point={point}
                disks={disks.length === point.disks.length ? null : disks.map((disk) => disk.diskId)}
                choice={retrieval}
                problem={start.problem}
                onChange={setRetrieval}
              />
            </SpaceBetween>
          ),
        },
        {
          title: "Where to",
          errorText,
          content: (
            <Container header={<Header variant="h2">Where the volumes are created</Header>}>
              <SpaceBetween size="l">
                <SnapshotLimits point={point} />
                <PlaceFields
                  point={point}
                  accountId={accountId}
                  region={region}
                  where={where}
                  problem={start.problem}
                  onChange={(account, chosen) => {
                    setAccountId(account);
                    setRegion(chosen);
                    start.reset();
                  }}
                />
                <FormField
                  label="Availability Zone"
                  description="The zone of the instance that will use the volumes."
                  errorText={missingZone ?? fieldError(start.problem, "zone")}
                >
                  <Select
                    selectedOption={zone === "" ? null : { value: zone, label: zone }}
                    options={(zones ?? []).map((value) => ({ value, label: value }))}
                    placeholder="Choose a zone"
                    statusType={where.targets.loading && region !== "" ? "loading" : "finished"}
                    onChange={({ detail }) => setZone(detail.selectedOption.value ?? "")}
                  />
                </FormField>
                <FormField label="Volume type" errorText={fieldError(start.problem, "volumeType")}>
                  <Select
                    selectedOption={{ value: volumeType, label: volumeType || "As recorded" }}
                    options={[{ value: "", label: "As recorded" }, ...VOLUME_TYPES.map((value) => ({ value, label: value }))]}
                    onChange={({ detail }) => setVolumeType(detail.selectedOption.value ?? "")}
                  />
                </FormField>
                <FormField
                  label="Added to the volumes' names"
                  constraintText="So that they are told from the originals."
                  errorText={fieldError(start.problem, "nameSuffix")}
                >
                  <Input value={suffix} onChange={({ detail }) => setSuffix(detail.value)} />
                </FormField>
              </SpaceBetween>
            </Container>
          ),
        },
        {
          title: "Review",
          errorText,
          content: (
            <SpaceBetween size="l">
              <Container header={<Header variant="h2">What will happen</Header>}>
                <KeyValuePairs
                  columns={3}
                  items={[
                    { label: "Restored", value: `${count(disks.length, "volume")} of ${point.resourceName}` },
                    { label: "Size together", value: gib(disks.reduce((sum, disk) => sum + disk.sizeBytes, 0)) },
                    { label: "Where", value: `${zone}, ${where.accounts.find((account) => account.id === accountId)?.name ?? point.resource.account.name}` },
                    { label: "Volume type", value: volumeType || "As recorded" },
                    { label: "Names", value: `As recorded, with “${suffix}” added` },
                    ...(needsRetrieval(point) ? [{ label: "Before", value: retrievalWords(retrieval) }] : []),
                    { label: "Attached to", value: "Nothing: attach them where you need them" },
                  ]}
                />
              </Container>
              <Reason value={reason} onChange={setReason} />
            </SpaceBetween>
          ),
        },
      ]}
    />
  );
}

export function Reason({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  return (
    <Container>
      <FormField
        label={<>Reason <i>- optional</i></>}
        description="Kept with the session, for whoever asks later."
      >
        <Input value={value} onChange={({ detail }) => onChange(detail.value)} placeholder="Files deleted by accident" />
      </FormField>
    </Container>
  );
}
