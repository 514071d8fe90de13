import { useState } from "react";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import { PolicyChoicesDocument, ResourcesDocument, type ResourceOrderField, type ResourceRowFragment } from "../../api/generated";
import { useData } from "../../api/useData";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { gib } from "../../format/size";
import { workloadName } from "../../format/words";
import { ListTable, type Choice, type Column } from "../../listing/ListTable";
import type { ListShape } from "../../listing/address";
import { useListView } from "../../listing/useListView";
import { EmptyState } from "../../ui/EmptyState";
import { Tags } from "../../ui/indicators";
import { RouterButton, RouterLink } from "../../ui/RouterLink";
import { When } from "../../ui/When";
import { AddToPolicy } from "./AddToPolicy";
import { Rescan } from "./Rescan";
import { TakeSnapshot } from "./TakeSnapshot";

const shape: ListShape<ResourceOrderField> = {
  fields: ["NAME", "REGION", "SIZE_BYTES", "LAST_SEEN_AT"],
  sort: "NAME",
  descending: false,
  choices: ["account", "protection", "presence"],
};

const PROTECTION: Choice = {
  name: "protection",
  label: "Protection",
  options: [
    { value: "PROTECTED", label: "Protected" },
    { value: "UNPROTECTED", label: "Not protected" },
  ],
};
const PRESENCE: Choice = {
  name: "presence",
  label: "Presence",
  options: [
    { value: "present", label: "In AWS" },
    { value: "gone", label: "No longer in AWS" },
  ],
};

export default function Resources() {
  const list = useListView(shape);
  const [rescanning, setRescanning] = useState(false);
  const [selected, setSelected] = useState<readonly ResourceRowFragment[]>([]);
  const [asking, setAsking] = useState<"add" | "snapshot" | null>(null);
  const { account, protection, presence } = list.view.choices;
  const answer = useData(
    ResourcesDocument,
    {
      first: list.size,
      offset: list.offset,
      filter: {
        search: list.view.search || undefined,
        accountId: account || undefined,
        protection: protection === "PROTECTED" || protection === "UNPROTECTED" ? protection : undefined,
        present: presence === "present" ? true : presence === "gone" ? false : undefined,
      },
      order: [{ field: list.view.sort, direction: list.view.descending ? "DESC" : "ASC" }],
    },
    { live: ["resource", "policy", "restore_point", "session"] },
  );
  const accounts = useData(PolicyChoicesDocument, {}).data?.accounts.edges.map((edge) => edge.node) ?? [];
  const items = answer.data?.resources.edges.map((edge) => edge.node) ?? [];
  const chosen = items.filter((item) => selected.some((each) => each.id === item.id));
  const gone = chosen.some((resource) => !resource.present);
  const accountChoice: Choice = {
    name: "account",
    label: "Account",
    options: accounts.map((each) => ({ value: each.id, label: each.name })),
  };
  return (
    <Page title="Resources" contentType="table">
      <ListTable
        title="Resources"
        noun="resource"
        description="What was found in your AWS accounts and can be protected."
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <Button iconName="refresh" onClick={() => setRescanning(true)}>
              Rescan
            </Button>
            <Button disabled={chosen.length === 0 || gone} onClick={() => setAsking("add")}>
              Add to policy
            </Button>
            <Button disabled={chosen.length === 0 || gone} onClick={() => setAsking("snapshot")}>
              Take snapshot
            </Button>
            <RouterButton to={paths.newPolicy} variant="primary">
              Create policy
            </RouterButton>
          </SpaceBetween>
        }
        columns={columns}
        answer={answer}
        items={items}
        total={answer.data?.resources.totalCount}
        list={list}
        choices={accounts.length > 1 ? [accountChoice, PROTECTION, PRESENCE] : [PROTECTION, PRESENCE]}
        searchHint="Find by name"
        trackBy={(resource) => resource.id}
        nameOf={(resource) => resource.name}
        selection={{ type: "multi", items: chosen, onChange: setSelected }}
        empty={
          <EmptyState title="No resource known yet" text="A rescan looks through the Regions of an AWS account.">
            <Button variant="primary" onClick={() => setRescanning(true)}>
              Rescan now
            </Button>
          </EmptyState>
        }
      />
      {rescanning && <Rescan onClose={() => setRescanning(false)} />}
      {asking === "add" && <AddToPolicy resources={chosen} onClose={() => setAsking(null)} />}
      {asking === "snapshot" && <TakeSnapshot resources={chosen} onClose={() => setAsking(null)} />}
    </Page>
  );
}

const columns: readonly Column<ResourceRowFragment>[] = [
  {
    id: "name",
    header: "Name",
    sortingField: "NAME",
    isRowHeader: true,
    minWidth: 180,
    cell: (resource) => (
      <div>
        <RouterLink to={paths.resource(resource.id)}>{resource.name}</RouterLink>
        <KindAndId resource={resource} />
      </div>
    ),
  },
  {
    id: "region",
    header: "Region",
    sortingField: "REGION",
    cell: (resource) => (
      <div>
        <span className="hf-nowrap">{resource.region}</span>
        <Box color="text-body-secondary" fontSize="body-s">
          <span className="hf-nowrap">{resource.account.name}</span>
        </Box>
      </div>
    ),
  },
  { id: "state", header: "State", cell: (resource) => <PresenceIndicator resource={resource} /> },
  { id: "size", header: "Size", sortingField: "SIZE_BYTES", cell: (resource) => <span className="hf-number">{gib(resource.sizeBytes)}</span> },
  { id: "protection", header: "Protection", minWidth: 140, cell: (resource) => <ProtectionCell protection={resource.protection} /> },
  {
    id: "points",
    header: "Points",
    cell: (resource) =>
      resource.pointCount > 0 ? (
        <div>
          <RouterLink to={paths.protectedResource(resource.id)}>{resource.pointCount.toLocaleString("en-US")}</RouterLink>
          <Box color="text-body-secondary" fontSize="body-s">
            <When at={resource.lastPointAt} ago />
          </Box>
        </div>
      ) : (
        <Box color="text-body-secondary">None</Box>
      ),
  },
  { id: "tags", header: "Tags", minWidth: 130, cell: (resource) => <Tags tags={resource.tags} /> },
];

/** What a resource is, and what AWS calls it; beneath its name. */
export function KindAndId({ resource }: { resource: Pick<ResourceRowFragment, "workload" | "awsId" | "name"> }) {
  return (
    <Box color="text-body-secondary" fontSize="body-s">
      {workloadName(resource.workload)}
      {resource.name !== resource.awsId && <div>{resource.awsId}</div>}
    </Box>
  );
}

export function PresenceIndicator({ resource }: { resource: Pick<ResourceRowFragment, "present" | "state"> }) {
  if (!resource.present) return <StatusIndicator wrapText={false} type="stopped">No longer in AWS</StatusIndicator>;
  const words = resource.state.charAt(0).toUpperCase() + resource.state.slice(1);
  const type = resource.state === "running" ? "success" : resource.state === "stopped" ? "stopped" : "in-progress";
  return <StatusIndicator wrapText={false} type={type}>{words}</StatusIndicator>;
}

export function ProtectionIndicator({ protection }: { protection: ResourceRowFragment["protection"] }) {
  const is = protection.state === "PROTECTED";
  return (
    <StatusIndicator wrapText={false} type={is ? "success" : "warning"}>
      {is ? "Protected" : "Not protected"}
    </StatusIndicator>
  );
}

function ProtectionCell({ protection }: { protection: ResourceRowFragment["protection"] }) {
  return (
    <div title={protection.reason}>
      <ProtectionIndicator protection={protection} />
      {protection.policy && (
        <Box fontSize="body-s">
          <RouterLink to={paths.policy(protection.policy.id)} fontSize="body-s">
            {protection.policy.name}
          </RouterLink>
        </Box>
      )}
    </div>
  );
}
