import { useState } from "react";
import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import CopyToClipboard from "@cloudscape-design/components/copy-to-clipboard";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import Table from "@cloudscape-design/components/table";
import Tabs from "@cloudscape-design/components/tabs";
import { useParams } from "react-router";
import { ResourceDetailDocument, type ResourceDetailQuery } from "../../api/generated";
import { useData } from "../../api/useData";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { gib } from "../../format/size";
import { POLICY_KIND, workloadName } from "../../format/words";
import { EmptyState } from "../../ui/EmptyState";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { RouterButton, RouterLink } from "../../ui/RouterLink";
import { useTab } from "../../ui/useTab";
import { Waiting } from "../../ui/Waiting";
import { When } from "../../ui/When";
import NotFound from "../NotFound";
import { PointTable } from "../protected/PointTable";
import { AddToPolicy } from "./AddToPolicy";
import { readRecord } from "./record";
import { Rescan } from "./Rescan";
import { PresenceIndicator, ProtectionIndicator } from "./Resources";
import { TakeSnapshot } from "./TakeSnapshot";

type Resource = Extract<NonNullable<ResourceDetailQuery["node"]>, { __typename: "Resource" }>;

export default function ResourcePage() {
  const { id = "" } = useParams();
  const answer = useData(ResourceDetailDocument, { id }, { live: ["resource", "policy", "restore_point"] });
  const node = answer.data?.node;
  const resource = node?.__typename === "Resource" ? node : null;
  if (answer.problem?.code === "NOT_FOUND" || (answer.data && !resource)) return <NotFound what="resource" />;
  return (
    <Page title={resource?.name ?? "Resource"} above={[{ text: "Resources", href: paths.resources }]}>
      {answer.problem && <ProblemAlert header="The resource cannot be shown" problem={answer.problem} onRetry={answer.refresh} />}
      {answer.loading && <Waiting />}
      {resource && <Detail resource={resource} />}
    </Page>
  );
}

function Detail({ resource }: { resource: Resource }) {
  const [tab, setTab] = useTab(["configuration", "protection", "points", "tags"]);
  const [rescanning, setRescanning] = useState(false);
  const [asking, setAsking] = useState<"add" | "snapshot" | null>(null);
  const { protection } = resource;
  return (
    <SpaceBetween size="l">
      <Header
        variant="h1"
        description={`${workloadName(resource.workload)} ${resource.awsId} in ${resource.region}`}
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <Button iconName="refresh" onClick={() => setRescanning(true)}>
              Rescan
            </Button>
            <Button disabled={!resource.present} onClick={() => setAsking("add")}>
              Add to policy
            </Button>
            <Button disabled={!resource.present} onClick={() => setAsking("snapshot")}>
              Take snapshot
            </Button>
            <RouterButton to={paths.protectedResource(resource.id)} variant="primary" disabled={resource.pointCount === 0}>
              Restore
            </RouterButton>
          </SpaceBetween>
        }
      >
        {resource.name}
      </Header>
      <Container header={<Header variant="h2">Summary</Header>}>
        <KeyValuePairs
          columns={4}
          items={[
            { label: "State", value: <PresenceIndicator resource={resource} /> },
            {
              label: "Protection",
              value: protection.policy ? (
                <div>
                  <ProtectionIndicator protection={protection} />
                  <div>
                    <RouterLink to={paths.policy(protection.policy.id)}>{protection.policy.name}</RouterLink>
                  </div>
                </div>
              ) : (
                <ProtectionIndicator protection={protection} />
              ),
            },
            { label: "Size", value: gib(resource.sizeBytes) },
            { label: "AWS account", value: resource.account.name },
            {
              label: "AWS id",
              value: (
                <CopyToClipboard
                  variant="inline"
                  textToCopy={resource.awsId}
                  copyButtonAriaLabel="Copy the id"
                  copySuccessText="Copied"
                  copyErrorText="Could not copy"
                />
              ),
            },
            { label: "Restore points", value: resource.pointCount.toLocaleString("en-US") },
            { label: "Last restore point", value: <When at={resource.lastPointAt} ago none="None yet" /> },
            { label: "Last seen in AWS", value: <When at={resource.lastSeenAt} ago /> },
          ]}
        />
      </Container>
      <Tabs
        activeTabId={tab}
        onChange={({ detail }) => setTab(detail.activeTabId)}
        tabs={[
          { id: "configuration", label: "Configuration", content: <Configuration resource={resource} /> },
          { id: "protection", label: "Protection", content: <Protection resource={resource} /> },
          { id: "points", label: `Restore points (${resource.pointCount})`, content: <PointTable resourceId={resource.id} /> },
          { id: "tags", label: `Tags (${resource.tags.length})`, content: <TagTable resource={resource} /> },
        ]}
      />
      {rescanning && <Rescan onClose={() => setRescanning(false)} />}
      {asking === "add" && <AddToPolicy resources={[resource]} onClose={() => setAsking(null)} />}
      {asking === "snapshot" && <TakeSnapshot resources={[resource]} onClose={() => setAsking(null)} />}
    </SpaceBetween>
  );
}

function Configuration({ resource }: { resource: Resource }) {
  const { instance, volumes } = readRecord(resource.details);
  return (
    <SpaceBetween size="l">
      <Container header={<Header variant="h2">Instance and network</Header>}>
        <KeyValuePairs
          columns={4}
          items={[
            { label: "Instance type", value: instance.instanceType ?? "–" },
            { label: "Platform", value: [instance.platform, instance.architecture].filter(Boolean).join(", ") || "–" },
            { label: "Image", value: instance.imageId ?? "–" },
            { label: "Availability Zone", value: instance.zone ?? "–" },
            { label: "VPC", value: instance.vpcId ?? "–" },
            { label: "Subnet", value: instance.subnetId ?? "–" },
            { label: "Private address", value: instance.privateIpAddress ?? "–" },
            { label: "Security groups", value: instance.securityGroupIds.join(", ") || "–" },
            { label: "Key pair", value: instance.keyName ?? "–" },
            { label: "Instance profile", value: instance.profile ?? "–" },
          ]}
        />
      </Container>
      <Table
        header={<Header counter={`(${volumes.length})`}>Volumes</Header>}
        items={volumes}
        trackBy="volumeId"
        columnDefinitions={[
          { id: "device", header: "Device", isRowHeader: true, cell: (volume) => <Box variant="code">{volume.device}</Box> },
          { id: "id", header: "Volume", cell: (volume) => volume.volumeId },
          { id: "size", header: "Size", cell: (volume) => <span className="hf-number">{volume.sizeGib.toLocaleString("en-US")} GiB</span> },
          { id: "type", header: "Type", cell: (volume) => volume.volumeType },
          { id: "iops", header: "IOPS", cell: (volume) => volume.iops?.toLocaleString("en-US") ?? "–" },
          { id: "encrypted", header: "Encrypted", cell: (volume) => (volume.encrypted ? "Yes" : "No") },
          { id: "kept", header: "When the instance is terminated", cell: (volume) => (volume.deleteOnTermination ? "Deleted" : "Kept") },
        ]}
        empty={<EmptyState title="No volume" text="The instance had no volume attached when it was last seen." />}
      />
    </SpaceBetween>
  );
}

/** By what it is protected and why, or why not; and what every policy does about it. */
function Protection({ resource }: { resource: Resource }) {
  const { protection } = resource;
  return (
    <SpaceBetween size="l">
      <Alert
        type={protection.policy ? "success" : "warning"}
        header={protection.policy ? "Protected" : "Not protected"}
      >
        {protection.reason}
        {protection.policy && protection.since && (
          <>
            {" "}
            Since <When at={protection.since} />.
          </>
        )}
      </Alert>
      <Table
        variant="container"
        wrapLines
        header={
          <Header variant="h2" description="Every policy, whether it covers this resource, and why. Who comes first takes it." counter={`(${protection.considered.length})`}>
            Policies
          </Header>
        }
        items={protection.considered}
        trackBy={(each) => each.policy.id}
        columnDefinitions={[
          {
            id: "policy",
            header: "Policy",
            isRowHeader: true,
            minWidth: 160,
            cell: (each) => <RouterLink to={paths.policy(each.policy.id)}>{each.policy.name}</RouterLink>,
          },
          { id: "kind", header: "Kind", cell: (each) => <span className="hf-nowrap">{POLICY_KIND[each.policy.kind]}</span> },
          { id: "priority", header: "Priority", cell: (each) => each.policy.priority },
          {
            id: "covered",
            header: "Protects it",
            cell: (each) => (
              <StatusIndicator wrapText={false} type={each.covered ? "success" : "stopped"}>
                {each.covered ? "Yes" : "No"}
              </StatusIndicator>
            ),
          },
          { id: "reason", header: "Why", minWidth: 200, cell: (each) => each.reason },
        ]}
        empty={
          <EmptyState title="No policy yet" text="A policy says what is backed up, when, and how long it is kept.">
            <RouterButton to={paths.newPolicy} variant="primary">
              Create policy
            </RouterButton>
          </EmptyState>
        }
      />
    </SpaceBetween>
  );
}

function TagTable({ resource }: { resource: Resource }) {
  return (
    <Table
      header={<Header counter={`(${resource.tags.length})`}>Tags</Header>}
      items={resource.tags}
      trackBy="key"
      columnDefinitions={[
        { id: "key", header: "Key", isRowHeader: true, cell: (tag) => tag.key },
        { id: "value", header: "Value", cell: (tag) => tag.value || "–" },
      ]}
      empty={<EmptyState title="No tags" text="Tags set in AWS appear here after the next rescan." />}
    />
  );
}
