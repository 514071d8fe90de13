import { useState } from "react";
import Box from "@cloudscape-design/components/box";
import { RestorePointsDocument, type Health, type Leg, type PointRowFragment, type RestorePointOrderField } from "../../api/generated";
import { useData } from "../../api/useData";
import { paths } from "../../app/paths";
import { gib, size } from "../../format/size";
import { LEGS } from "../../format/calendar";
import { HEALTH, LEG } from "../../format/words";
import { ListTable, type Choice, type Column } from "../../listing/ListTable";
import type { ListShape } from "../../listing/address";
import { useListView } from "../../listing/useListView";
import { EmptyState } from "../../ui/EmptyState";
import { FlagBadges } from "../../ui/FlagBadges";
import { LegBadge } from "../../ui/indicators";
import { RouterButton, RouterLink } from "../../ui/RouterLink";
import { When } from "../../ui/When";
import { PointActions } from "./PointActions";
import { Kept, PointHealth, Proven, RetrievalIndicator } from "./pointParts";

const shape: ListShape<RestorePointOrderField> = {
  fields: ["AT", "RESOURCE_NAME", "SIZE_BYTES"],
  sort: "AT",
  descending: true,
  choices: ["where", "health"],
};

const WHERE: Choice = {
  name: "where",
  label: "Place",
  options: LEGS.map((value) => ({ value, label: LEG[value] })),
};
const HEALTH_CHOICE: Choice = {
  name: "health",
  label: "Health",
  options: Object.entries(HEALTH).map(([value, label]) => ({ value, label })),
};

interface PointTableProps {
  readonly resourceId?: string;
  readonly repositoryId?: string;
  /** Those made by hand, or those of policies; of a resource they are shown apart. */
  readonly manual?: boolean;
}

/** Restore points, of one resource, in one repository or all, with what can be done with them. */
export function PointTable({ resourceId, repositoryId, manual }: PointTableProps) {
  const list = useListView(shape);
  const [selected, setSelected] = useState<readonly PointRowFragment[]>([]);
  const { where, health } = list.view.choices;
  const answer = useData(
    RestorePointsDocument,
    {
      first: list.size,
      offset: list.offset,
      filter: {
        search: list.view.search || undefined,
        resourceId,
        repositoryId,
        manual,
        leg: where && where in LEG ? (where as Leg) : undefined,
        health: health && health in HEALTH ? (health as Health) : undefined,
        state: "AVAILABLE",
      },
      order: [{ field: list.view.sort, direction: list.view.descending ? "DESC" : "ASC" }],
    },
    { live: ["restore_point", "session"] },
  );
  const items = answer.data?.restorePoints.edges.map((edge) => edge.node) ?? [];
  const present = items.filter((item) => selected.some((point) => point.id === item.id));
  return (
    <ListTable
      title={manual ? "Manual snapshots" : "Restore points"}
      noun="restore point"
      variant="container"
      columns={resourceId ? columns.filter((column) => column.id !== "resource") : columns}
      answer={answer}
      items={items}
      total={answer.data?.restorePoints.totalCount}
      list={list}
      choices={repositoryId ? [HEALTH_CHOICE] : [WHERE, HEALTH_CHOICE]}
      searchHint={resourceId ? "Find" : "Find by resource name"}
      trackBy={(point) => point.id}
      nameOf={(point) => `${point.resourceName}, ${LEG[point.leg]}`}
      selection={{ type: "multi", items: present, onChange: setSelected }}
      actions={<PointActions points={present} onStarted={() => setSelected([])} />}
      empty={<Nothing repositoryId={repositoryId} manual={manual} />}
    />
  );
}

function Nothing({ repositoryId, manual }: Pick<PointTableProps, "repositoryId" | "manual">) {
  if (manual) return <EmptyState title="No manual snapshot" text="Take one before something risky: no policy touches it." />;
  return (
    <EmptyState
      title="No restore point yet"
      text={repositoryId ? "The first backup into this repository makes one." : "The first run of a policy that covers this makes one."}
    >
      <RouterButton to={paths.policies}>Go to policies</RouterButton>
    </EmptyState>
  );
}

const columns: readonly Column<PointRowFragment>[] = [
  {
    id: "at",
    header: "Moment",
    sortingField: "AT",
    isRowHeader: true,
    minWidth: 140,
    cell: (point) => (
      <div>
        <RouterLink to={paths.point(point.id)}>
          <When at={point.at} />
        </RouterLink>
        {(point.policy || point.manual) && (
          <Box color="text-body-secondary" fontSize="body-s">
            {point.manual ? "by hand" : `by ${point.policy?.name ?? ""}`}
          </Box>
        )}
      </div>
    ),
  },
  {
    id: "resource",
    header: "Resource",
    sortingField: "RESOURCE_NAME",
    minWidth: 105,
    cell: (point) => <RouterLink to={paths.protectedResource(point.resource.id)}>{point.resourceName}</RouterLink>,
  },
  {
    id: "leg",
    header: "Place",
    minWidth: 150,
    cell: (point) => (
      <div>
        <LegBadge leg={point.leg} />
        <Box color="text-body-secondary" fontSize="body-s">
          {point.repository ? point.repository.name : `AWS, ${point.region}`}
          {point.isChangeTrackingBase && <div>Held for the next backup</div>}
        </Box>
        {point.leg === "ARCHIVE" && <RetrievalIndicator retrieval={point.retrieval} />}
      </div>
    ),
  },
  {
    id: "size",
    header: "Size",
    sortingField: "SIZE_BYTES",
    minWidth: 115,
    cell: (point) => (
      <div>
        <span className="hf-number">{gib(point.sizeBytes)}</span>
        {point.repository && (
          <Box color="text-body-secondary" fontSize="body-s">
            <span className="hf-number">{size(point.storedBytes)} added</span>
          </Box>
        )}
      </div>
    ),
  },
  {
    id: "health",
    header: "Health",
    minWidth: 140,
    cell: (point) => (
      <div>
        <PointHealth point={point} />
        <Box color="text-body-secondary" fontSize="body-s">
          <Proven point={point} />
        </Box>
      </div>
    ),
  },
  {
    id: "kept",
    header: "Kept",
    minWidth: 170,
    cell: (point) => (
      <div className="hf-kept">
        <FlagBadges flags={point.flags} />
        <Kept point={point} />
      </div>
    ),
  },
];
