import { useState } from "react";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import ButtonDropdown from "@cloudscape-design/components/button-dropdown";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { useNavigate } from "react-router";
import { RestorePointsDocument, type Leg, type PointRowFragment, type RestorePointOrderField } from "../../api/generated";
import { useData } from "../../api/useData";
import { paths } from "../../app/paths";
import { gib, size } from "../../format/size";
import { LEG } from "../../format/words";
import { ListTable, type Choice, type Column } from "../../listing/ListTable";
import type { ListShape } from "../../listing/address";
import { useListView } from "../../listing/useListView";
import { EmptyState } from "../../ui/EmptyState";
import { LegBadge } from "../../ui/indicators";
import { RouterButton, RouterLink } from "../../ui/RouterLink";
import { When } from "../../ui/When";
import { DeletePoints } from "./DeletePoints";

const shape: ListShape<RestorePointOrderField> = {
  fields: ["AT", "RESOURCE_NAME", "SIZE_BYTES"],
  sort: "AT",
  descending: true,
  choices: ["where"],
};

const WHERE: Choice = {
  name: "where",
  label: "Place",
  options: (["SNAPSHOT", "BACKUP"] as const).map((value) => ({ value, label: LEG[value] })),
};

/** Restore points, of one resource or of all, with what can be done with them. */
export function PointTable({ resourceId, full = false }: { resourceId?: string; full?: boolean }) {
  const list = useListView(shape);
  const [selected, setSelected] = useState<readonly PointRowFragment[]>([]);
  const [deleting, setDeleting] = useState(false);
  const navigate = useNavigate();
  const { where } = list.view.choices;
  const answer = useData(
    RestorePointsDocument,
    {
      first: list.size,
      offset: list.offset,
      filter: {
        search: list.view.search || undefined,
        resourceId,
        leg: where && where in LEG ? (where as Leg) : undefined,
        state: "AVAILABLE",
      },
      order: [{ field: list.view.sort, direction: list.view.descending ? "DESC" : "ASC" }],
    },
    { live: ["restore_point", "session"] },
  );
  const items = answer.data?.restorePoints.edges.map((edge) => edge.node) ?? [];
  const present = selected.filter((point) => items.some((item) => item.id === point.id));
  const [only] = present;
  return (
    <>
      <ListTable
        title="Restore points"
        noun="restore point"
        variant={full ? "full-page" : "container"}
        description={full ? "Each moment a resource can be brought back to, newest first." : undefined}
        columns={resourceId ? columns.filter((column) => column.id !== "resource") : columns}
        answer={answer}
        items={items}
        total={answer.data?.restorePoints.totalCount}
        list={list}
        choices={[WHERE]}
        searchHint={resourceId ? "Find" : "Find by resource name"}
        trackBy={(point) => point.id}
        nameOf={(point) => `${point.resourceName}, ${LEG[point.leg]}`}
        selection={{ type: "multi", items: present, onChange: setSelected }}
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <Button disabled={present.length === 0} onClick={() => setDeleting(true)}>
              Delete
            </Button>
            <ButtonDropdown
              variant="primary"
              disabled={present.length !== 1}
              items={[
                { id: "volumes", text: "Restore volumes", description: "As new volumes, attached to nothing" },
                { id: "instance", text: "Restore instance", description: "As a new instance beside the old one" },
              ]}
              onItemClick={({ detail }) => {
                if (only) void navigate(detail.id === "volumes" ? paths.restoreVolumes(only.id) : paths.restoreInstance(only.id));
              }}
            >
              Restore
            </ButtonDropdown>
          </SpaceBetween>
        }
        empty={
          <EmptyState
            title="No restore point yet"
            text="The first run of a policy that covers this makes one."
          >
            <RouterButton to={paths.policies}>Go to policies</RouterButton>
          </EmptyState>
        }
      />
      {deleting && (
        <DeletePoints
          points={present}
          onClose={() => setDeleting(false)}
          onStarted={() => {
            setDeleting(false);
            setSelected([]);
          }}
        />
      )}
    </>
  );
}

const columns: readonly Column<PointRowFragment>[] = [
  { id: "at", header: "Moment", sortingField: "AT", isRowHeader: true, minWidth: 140, cell: (point) => <When at={point.at} /> },
  {
    id: "resource",
    header: "Resource",
    sortingField: "RESOURCE_NAME",
    minWidth: 120,
    cell: (point) => <RouterLink to={paths.protectedResource(point.resource.id)}>{point.resourceName}</RouterLink>,
  },
  { id: "leg", header: "Place", cell: (point) => <LegBadge leg={point.leg} /> },
  {
    id: "where",
    header: "Kept in",
    minWidth: 160,
    cell: (point) => (point.repository ? point.repository.name : `AWS, ${point.region}`),
  },
  { id: "size", header: "Size", sortingField: "SIZE_BYTES", cell: (point) => <span className="hf-number">{gib(point.sizeBytes)}</span> },
  {
    id: "stored",
    header: "Added to repository",
    cell: (point) =>
      point.leg === "BACKUP" ? <span className="hf-number">{size(point.storedBytes)}</span> : <Box color="text-body-secondary">–</Box>,
  },
  {
    id: "policy",
    header: "Made by",
    minWidth: 180,
    cell: (point) => (
      <div>
        {point.policy ? <RouterLink to={paths.policy(point.policy.id)}>{point.policy.name}</RouterLink> : "–"}
        {point.isChangeTrackingBase && (
          <Box color="text-body-secondary" fontSize="body-s">
            Next backup builds on it
          </Box>
        )}
      </div>
    ),
  },
];
