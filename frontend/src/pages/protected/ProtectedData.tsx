import { useState } from "react";
import Box from "@cloudscape-design/components/box";
import Header from "@cloudscape-design/components/header";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Tabs from "@cloudscape-design/components/tabs";
import { ResourcesDocument, type ResourceOrderField, type ResourceRowFragment } from "../../api/generated";
import { useData } from "../../api/useData";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { gib } from "../../format/size";
import { ListTable, type Column } from "../../listing/ListTable";
import type { ListShape } from "../../listing/address";
import { useListView } from "../../listing/useListView";
import { EmptyState } from "../../ui/EmptyState";
import { RouterButton, RouterLink } from "../../ui/RouterLink";
import { useTab } from "../../ui/useTab";
import { When } from "../../ui/When";
import { KindAndId, PresenceIndicator } from "../resources/Resources";
import { PointTable } from "./PointTable";
import { RemoveSet } from "./RemoveSet";

export default function ProtectedData() {
  const [tab, setTab] = useTab(["resources", "points"]);
  return (
    <Page title="Protected data" contentType="table">
      <SpaceBetween size="m">
        <Header variant="h1" description="Everything that can be brought back, also of resources that no longer exist in AWS.">
          Protected data
        </Header>
        <Tabs
          activeTabId={tab}
          onChange={({ detail }) => setTab(detail.activeTabId)}
          tabs={[
            { id: "resources", label: "By resource", content: tab === "resources" && <ByResource /> },
            { id: "points", label: "All restore points", content: tab === "points" && <PointTable /> },
          ]}
        />
      </SpaceBetween>
    </Page>
  );
}

const shape: ListShape<ResourceOrderField> = {
  fields: ["NAME", "REGION", "SIZE_BYTES", "LAST_SEEN_AT"],
  sort: "NAME",
  descending: false,
  choices: [],
};

function ByResource() {
  const list = useListView(shape);
  const [selected, setSelected] = useState<readonly ResourceRowFragment[]>([]);
  const answer = useData(
    ResourcesDocument,
    {
      first: list.size,
      offset: list.offset,
      filter: { search: list.view.search || undefined, backedUp: true },
      order: [{ field: list.view.sort, direction: list.view.descending ? "DESC" : "ASC" }],
    },
    { live: ["restore_point", "resource"] },
  );
  const items = answer.data?.resources.edges.map((edge) => edge.node) ?? [];
  const chosen = items.filter((item) => selected.some((each) => each.id === item.id));
  return (
    <ListTable
      title="Resources"
      noun="resource"
      variant="container"
      columns={columns}
      answer={answer}
      items={items}
      total={answer.data?.resources.totalCount}
      list={list}
      searchHint="Find by name"
      trackBy={(resource) => resource.id}
      nameOf={(resource) => resource.name}
      selection={{ type: "multi", items: chosen, onChange: setSelected }}
      actions={<RemoveSet resources={chosen} />}
      empty={
        <EmptyState title="Nothing is protected yet" text="Restore points appear here after the first run of a policy.">
          <RouterButton to={paths.policies}>Go to policies</RouterButton>
        </EmptyState>
      }
    />
  );
}

const columns: readonly Column<ResourceRowFragment>[] = [
  {
    id: "name",
    header: "Resource",
    sortingField: "NAME",
    isRowHeader: true,
    minWidth: 180,
    cell: (resource) => (
      <div>
        <RouterLink to={paths.protectedResource(resource.id)}>{resource.name}</RouterLink>
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
  {
    id: "policy",
    header: "Policy",
    minWidth: 130,
    cell: ({ protection }) =>
      protection.policy ? (
        <RouterLink to={paths.policy(protection.policy.id)}>{protection.policy.name}</RouterLink>
      ) : (
        <Box color="text-body-secondary">Not protected</Box>
      ),
  },
  { id: "state", header: "State", cell: (resource) => <PresenceIndicator resource={resource} /> },
  { id: "size", header: "Size", sortingField: "SIZE_BYTES", cell: (resource) => <span className="hf-number">{gib(resource.sizeBytes)}</span> },
  { id: "points", header: "Restore points", cell: (resource) => resource.pointCount.toLocaleString("en-US") },
  { id: "last", header: "Newest", cell: (resource) => <When at={resource.lastPointAt} ago none="None yet" /> },
];
