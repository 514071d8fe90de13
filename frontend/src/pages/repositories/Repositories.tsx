import { useState } from "react";
import Box from "@cloudscape-design/components/box";
import ButtonDropdown from "@cloudscape-design/components/button-dropdown";
import SpaceBetween from "@cloudscape-design/components/space-between";
import {
  CollectGarbageDocument,
  RemoveRepositoryDocument,
  RepositoriesDocument,
  type RepositoryOrderField,
  type RepositoryRowFragment,
  type StorageKind,
} from "../../api/generated";
import { useCommand, useData } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { count } from "../../format/schedule";
import { size } from "../../format/size";
import { STORAGE_KIND } from "../../format/words";
import { ListTable, type Choice, type Column } from "../../listing/ListTable";
import type { ListShape } from "../../listing/address";
import { useListView } from "../../listing/useListView";
import { Confirm } from "../../ui/Confirm";
import { EmptyState } from "../../ui/EmptyState";
import { HealthIndicator } from "../../ui/indicators";
import { RouterButton } from "../../ui/RouterLink";
import { When } from "../../ui/When";

const shape: ListShape<RepositoryOrderField> = { fields: ["NAME", "CREATED_AT"], sort: "NAME", descending: false, choices: ["kind"] };
const KIND: Choice = {
  name: "kind",
  label: "Kind",
  options: Object.entries(STORAGE_KIND).map(([value, label]) => ({ value, label })),
};

export default function Repositories() {
  const list = useListView(shape);
  const [selectedId, setSelectedId] = useState<string | null>(null);
  const [asking, setAsking] = useState<"clean" | "remove" | null>(null);
  const { kind } = list.view.choices;
  const answer = useData(
    RepositoriesDocument,
    {
      first: list.size,
      offset: list.offset,
      filter: { search: list.view.search || undefined, kind: kind && kind in STORAGE_KIND ? (kind as StorageKind) : undefined },
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
        description="Where backups are kept: encrypted, deduplicated, and readable with their password alone."
        columns={columns}
        answer={answer}
        items={items}
        total={answer.data?.repositories.totalCount}
        list={list}
        choices={[KIND]}
        searchHint="Find by name"
        trackBy={(repository) => repository.id}
        nameOf={(repository) => repository.name}
        selection={{ type: "single", items: selected ? [selected] : [], onChange: ([item]) => setSelectedId(item?.id ?? null) }}
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <ButtonDropdown
              disabled={!selected}
              items={[
                { id: "clean", text: "Clean up", description: "Free space no restore point needs" },
                { id: "remove", text: "Remove" },
              ]}
              onItemClick={({ detail }) => setAsking(detail.id as "clean" | "remove")}
            >
              Actions
            </ButtonDropdown>
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
      {asking === "clean" && selected && <CleanUp repository={selected} onClose={() => setAsking(null)} />}
      {asking === "remove" && selected && (
        <Remove
          repository={selected}
          onClose={() => setAsking(null)}
          onRemoved={() => {
            setAsking(null);
            setSelectedId(null);
            answer.refresh();
          }}
        />
      )}
    </Page>
  );
}

const columns: readonly Column<RepositoryRowFragment>[] = [
  {
    id: "name",
    header: "Name",
    sortingField: "NAME",
    isRowHeader: true,
    minWidth: 160,
    cell: (repository) => (
      <div>
        <Box variant="strong">{repository.name}</Box>
        {repository.description && (
          <Box color="text-body-secondary" fontSize="body-s">
            {repository.description}
          </Box>
        )}
      </div>
    ),
  },
  { id: "kind", header: "Kind", cell: (repository) => STORAGE_KIND[repository.kind] },
  { id: "place", header: "Place", minWidth: 200, cell: (repository) => <Box variant="code">{repository.url}</Box> },
  { id: "state", header: "Status", minWidth: 120, cell: (repository) => <HealthIndicator state={repository.state} problem={repository.problem} /> },
  { id: "stored", header: "Stored", cell: (repository) => <span className="hf-number">{size(repository.storedBytes)}</span> },
  { id: "points", header: "Backups", cell: (repository) => repository.pointCount.toLocaleString("en-US") },
  { id: "account", header: "AWS account", cell: (repository) => repository.account?.name ?? "–" },
  { id: "created", header: "Added", sortingField: "CREATED_AT", cell: (repository) => <When at={repository.createdAt} /> },
];

interface AskProps {
  readonly repository: RepositoryRowFragment;
  readonly onClose: () => void;
}

function CleanUp({ repository, onClose }: AskProps) {
  const collect = useCommand(CollectGarbageDocument);
  const notifications = useNotifications();
  return (
    <Confirm
      title={`Clean up ${repository.name}?`}
      action="Clean up"
      busy={collect.busy}
      problem={collect.problem}
      onClose={onClose}
      onConfirm={() => {
        void collect.run({ input: { id: repository.id, clientMutationId: collect.key } }).then(({ data }) => {
          if (!data) return;
          if (data.collectGarbage.session) notifications.session(data.collectGarbage.session);
          onClose();
        });
      }}
    >
      Data that no restore point needs is deleted. It takes two passes with some time between them, so space may be freed only by the next one.
      Backups can run meanwhile.
    </Confirm>
  );
}

function Remove({ repository, onClose, onRemoved }: AskProps & { onRemoved: () => void }) {
  const remove = useCommand(RemoveRepositoryDocument);
  const notifications = useNotifications();
  return (
    <Confirm
      title={`Remove ${repository.name}?`}
      action="Remove"
      busy={remove.busy}
      problem={remove.problem}
      onClose={onClose}
      onConfirm={() => {
        void remove.run({ input: { id: repository.id } }).then(({ problem }) => {
          if (problem) return;
          notifications.success(`Repository ${repository.name} is removed from Holdfast; its files are still there.`);
          onRemoved();
        });
      }}
    >
      <ul className="hf-sentences">
        <li>Its files stay where they are, at {repository.url}.</li>
        <li>
          {repository.pointCount > 0
            ? `${count(repository.pointCount, "backup")} can no longer be restored from here until it is added again.`
            : "It holds no backup."}
        </li>
        <li>To add it again you need its password. Holdfast forgets it.</li>
      </ul>
    </Confirm>
  );
}
