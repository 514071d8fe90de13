import { useState } from "react";
import Badge from "@cloudscape-design/components/badge";
import Box from "@cloudscape-design/components/box";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import { RepositoriesDocument, type RepositoryOrderField, type RepositoryRowFragment, type StorageClass, type StorageKind } from "../../api/generated";
import { useData } from "../../api/useData";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { size } from "../../format/size";
import { ENCRYPTION, STORAGE_CLASS_SHORT, STORAGE_KIND } from "../../format/words";
import { ListTable, type Choice, type Column } from "../../listing/ListTable";
import type { ListShape } from "../../listing/address";
import { useListView } from "../../listing/useListView";
import { EmptyState } from "../../ui/EmptyState";
import { HealthIndicator } from "../../ui/indicators";
import { RouterButton, RouterLink } from "../../ui/RouterLink";
import { When } from "../../ui/When";
import { RepositoryActions } from "./RepositoryActions";

const shape: ListShape<RepositoryOrderField> = {
  fields: ["NAME", "CREATED_AT", "STORED_BYTES"],
  sort: "NAME",
  descending: false,
  choices: ["kind", "class"],
};
const KIND: Choice = {
  name: "kind",
  label: "Kind",
  options: Object.entries(STORAGE_KIND).map(([value, label]) => ({ value, label })),
};
const CLASS: Choice = {
  name: "class",
  label: "Class",
  options: Object.entries(STORAGE_CLASS_SHORT).map(([value, label]) => ({ value, label })),
};

export default function Repositories() {
  const list = useListView(shape);
  const [selectedId, setSelectedId] = useState<string | null>(null);
  const { kind, class: storageClass } = list.view.choices;
  const answer = useData(
    RepositoriesDocument,
    {
      first: list.size,
      offset: list.offset,
      filter: {
        search: list.view.search || undefined,
        kind: kind && kind in STORAGE_KIND ? (kind as StorageKind) : undefined,
        storageClass: storageClass && storageClass in STORAGE_CLASS_SHORT ? [storageClass as StorageClass] : undefined,
      },
      order: [{ field: list.view.sort, direction: list.view.descending ? "DESC" : "ASC" }],
    },
    { live: ["repository", "restore_point", "session"] },
  );
  const items = answer.data?.repositories.edges.map((edge) => edge.node) ?? [];
  const selected = items.find((repository) => repository.id === selectedId) ?? null;
  return (
    <Page title="Repositories" contentType="table">
      <ListTable
        title="Repositories"
        noun="repository"
        description="Where backups are kept: encrypted, deduplicated, and readable with their password or key alone."
        columns={columns}
        answer={answer}
        items={items}
        total={answer.data?.repositories.totalCount}
        list={list}
        choices={[KIND, CLASS]}
        searchHint="Find by name"
        trackBy={(repository) => repository.id}
        nameOf={(repository) => repository.name}
        selection={{ type: "single", items: selected ? [selected] : [], onChange: ([item]) => setSelectedId(item?.id ?? null) }}
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <RepositoryActions
              repository={selected}
              onChanged={answer.refresh}
              onRemoved={() => {
                setSelectedId(null);
                answer.refresh();
              }}
            />
            <RouterButton to={paths.newRepository} variant="primary">
              Add repository
            </RouterButton>
          </SpaceBetween>
        }
        empty={
          <EmptyState title="No repository yet" text="Backups need a bucket or a folder to be written to. Snapshots work without.">
            <RouterButton to={paths.newRepository} variant="primary">
              Add repository
            </RouterButton>
          </EmptyState>
        }
      />
    </Page>
  );
}

const columns: readonly Column<RepositoryRowFragment>[] = [
  {
    id: "name",
    header: "Name",
    sortingField: "NAME",
    isRowHeader: true,
    minWidth: 150,
    cell: (repository) => (
      <div>
        <RouterLink to={paths.repository(repository.id)}>{repository.name}</RouterLink>
        {repository.description && (
          <Box color="text-body-secondary" fontSize="body-s">
            {repository.description}
          </Box>
        )}
      </div>
    ),
  },
  {
    id: "place",
    header: "Place",
    minWidth: 180,
    cell: (repository) => (
      <div>
        <span className="hf-place">{repository.url}</span>
        <Box color="text-body-secondary" fontSize="body-s">
          {STORAGE_KIND[repository.kind]}
          {repository.account && `, ${repository.account.name}`}
        </Box>
      </div>
    ),
  },
  { id: "state", header: "Status", minWidth: 115, cell: (repository) => <HealthIndicator state={repository.state} problem={repository.problem} /> },
  {
    id: "class",
    header: "Kept as",
    minWidth: 110,
    cell: (repository) => (
      <SpaceBetween size="xxs">
        <div>
          {repository.kind === "LOCAL" ? "Local disk" : STORAGE_CLASS_SHORT[repository.storageClass]}
          <Box color="text-body-secondary" fontSize="body-s">
            {ENCRYPTION[repository.encryption]}
          </Box>
        </div>
        {repository.immutable && <Badge color="green">Locked</Badge>}
      </SpaceBetween>
    ),
  },
  {
    id: "stored",
    header: "Stored",
    sortingField: "STORED_BYTES",
    cell: (repository) => <span className="hf-number">{size(repository.storedBytes)}</span>,
  },
  {
    id: "points",
    header: "Backups",
    minWidth: 120,
    cell: (repository) => (
      <div>
        {repository.pointCount.toLocaleString("en-US")}
        {repository.incompletePointCount > 0 && (
          <div>
            <StatusIndicator type="error" wrapText={false}>
              {repository.incompletePointCount.toLocaleString("en-US")} incomplete
            </StatusIndicator>
          </div>
        )}
      </div>
    ),
  },
  { id: "checked", header: "Last check", cell: (repository) => <When at={repository.checkedAt} ago none="Never" /> },
];
