import { useState } from "react";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Tabs from "@cloudscape-design/components/tabs";
import { useParams } from "react-router";
import { ResourceDetailDocument, type ResourceDetailQuery } from "../../api/generated";
import { useData } from "../../api/useData";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { gib } from "../../format/size";
import { workloadName } from "../../format/words";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { RouterButton, RouterLink } from "../../ui/RouterLink";
import { useTab } from "../../ui/useTab";
import { Waiting } from "../../ui/Waiting";
import { When } from "../../ui/When";
import NotFound from "../NotFound";
import { PresenceIndicator, ProtectionIndicator } from "../resources/Resources";
import { TakeSnapshot } from "../resources/TakeSnapshot";
import { BaseItem } from "./BaseItem";
import { FlagLegend } from "./FlagLegend";
import { PointTable } from "./PointTable";
import { RemoveSet } from "./RemoveSet";

type Resource = Extract<NonNullable<ResourceDetailQuery["node"]>, { __typename: "Resource" }>;

/** One resource's restore points, and the ways back. */
export default function ProtectedResource() {
  const { id = "" } = useParams();
  const answer = useData(ResourceDetailDocument, { id }, { live: ["restore_point", "resource", "policy"] });
  const node = answer.data?.node;
  const resource = node?.__typename === "Resource" ? node : null;
  if (answer.problem?.code === "NOT_FOUND" || (answer.data && !resource)) return <NotFound what="resource" />;
  return (
    <Page title={resource?.name ?? "Resource"} above={[{ text: "Protected data", href: paths.protectedData }]}>
      {answer.problem && <ProblemAlert header="The resource cannot be shown" problem={answer.problem} onRetry={answer.refresh} />}
      {answer.loading && <Waiting />}
      {resource && <Detail resource={resource} />}
    </Page>
  );
}

function Detail({ resource }: { resource: Resource }) {
  const [tab, setTab] = useTab(["chain", "manual"]);
  const [taking, setTaking] = useState(false);
  const { protection } = resource;
  return (
    <SpaceBetween size="l">
      <Header
        variant="h1"
        description={`${workloadName(resource.workload)} ${resource.awsId} in ${resource.region}`}
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <RouterButton to={paths.resource(resource.id)}>Show resource</RouterButton>
            <RemoveSet resources={[resource]} />
            <Button disabled={!resource.present} onClick={() => setTaking(true)}>
              Take snapshot
            </Button>
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
                <RouterLink to={paths.policy(protection.policy.id)}>{protection.policy.name}</RouterLink>
              ) : (
                <ProtectionIndicator protection={protection} />
              ),
            },
            { label: "Size", value: gib(resource.sizeBytes) },
            { label: "AWS account", value: resource.account.name },
            { label: "Restore points", value: resource.pointCount.toLocaleString("en-US") },
            { label: "Newest restore point", value: <When at={resource.lastPointAt} ago none="None yet" /> },
          ]}
        />
      </Container>
      <BaseItem resourceId={resource.id} />
      <Tabs
        activeTabId={tab}
        onChange={({ detail }) => setTab(detail.activeTabId)}
        tabs={[
          {
            id: "chain",
            label: "Restore points",
            content: tab === "chain" && (
              <SpaceBetween size="m">
                <FlagLegend />
                <PointTable resourceId={resource.id} />
              </SpaceBetween>
            ),
          },
          { id: "manual", label: "Manual snapshots", content: tab === "manual" && <PointTable resourceId={resource.id} manual /> },
        ]}
      />
      {taking && <TakeSnapshot resources={[resource]} onClose={() => setTaking(false)} />}
    </SpaceBetween>
  );
}
