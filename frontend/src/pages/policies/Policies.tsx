import { useState } from "react";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import ButtonDropdown from "@cloudscape-design/components/button-dropdown";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import { useNavigate } from "react-router";
import { PoliciesDocument, type PolicyOrderField, type PolicyRowFragment } from "../../api/generated";
import { useData } from "../../api/useData";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { scheduleSentence, scheduleShort } from "../../format/schedule";
import { ListTable, type Choice, type Column } from "../../listing/ListTable";
import type { ListShape } from "../../listing/address";
import { useListView } from "../../listing/useListView";
import { EmptyState } from "../../ui/EmptyState";
import { StateIndicator } from "../../ui/indicators";
import { RouterButton, RouterLink } from "../../ui/RouterLink";
import { When } from "../../ui/When";
import { DeletePolicy } from "./DeletePolicy";
import { RunPolicy } from "./RunPolicy";
import { useSwitchPolicy } from "./useSwitchPolicy";

const shape: ListShape<PolicyOrderField> = {
  fields: ["PRIORITY", "NAME"],
  sort: "PRIORITY",
  descending: false,
  choices: ["status"],
};

const STATUS: Choice = {
  name: "status",
  label: "Status",
  options: [
    { value: "enabled", label: "Enabled" },
    { value: "disabled", label: "Disabled" },
  ],
};

export default function Policies() {
  const list = useListView(shape);
  const [selectedId, setSelectedId] = useState<string | null>(null);
  const [asking, setAsking] = useState<"run" | "delete" | null>(null);
  const navigate = useNavigate();
  const { status } = list.view.choices;
  const answer = useData(
    PoliciesDocument,
    {
      first: list.size,
      offset: list.offset,
      filter: { search: list.view.search || undefined, enabled: status === "enabled" ? true : status === "disabled" ? false : undefined },
      order: [{ field: list.view.sort, direction: list.view.descending ? "DESC" : "ASC" }],
    },
    { live: ["policy", "session", "resource"] },
  );
  const switching = useSwitchPolicy();
  const items = answer.data?.policies.edges.map((edge) => edge.node) ?? [];
  const selected = items.find((policy) => policy.id === selectedId) ?? null;
  return (
    <Page title="Policies" contentType="table">
      <ListTable
        title="Policies"
        noun="policy"
        description="What is protected, when, and how long it is kept."
        columns={columns}
        answer={answer}
        items={items}
        total={answer.data?.policies.totalCount}
        list={list}
        choices={[STATUS]}
        searchHint="Find by name"
        trackBy={(policy) => policy.id}
        nameOf={(policy) => policy.name}
        selection={{ type: "single", items: selected ? [selected] : [], onChange: ([policy]) => setSelectedId(policy?.id ?? null) }}
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <Button disabled={!selected} onClick={() => setAsking("run")}>
              Run now
            </Button>
            <ButtonDropdown
              disabled={!selected}
              items={[
                { id: "edit", text: "Edit" },
                { id: "switch", text: selected?.enabled ? "Disable" : "Enable" },
                { id: "delete", text: "Delete" },
              ]}
              onItemClick={({ detail }) => {
                if (!selected) return;
                if (detail.id === "edit") void navigate(paths.editPolicy(selected.id));
                if (detail.id === "switch") void switching.run(selected);
                if (detail.id === "delete") setAsking("delete");
              }}
            >
              Actions
            </ButtonDropdown>
            <RouterButton to={paths.newPolicy} variant="primary">
              Create policy
            </RouterButton>
          </SpaceBetween>
        }
        empty={
          <EmptyState title="No policy yet" text="A policy says what is backed up, when, and how long it is kept.">
            <RouterButton to={paths.newPolicy} variant="primary">
              Create policy
            </RouterButton>
          </EmptyState>
        }
      />
      {asking === "run" && selected && <RunPolicy policy={selected} onClose={() => setAsking(null)} />}
      {asking === "delete" && selected && (
        <DeletePolicy
          policy={selected}
          onClose={() => setAsking(null)}
          onDeleted={() => {
            setAsking(null);
            setSelectedId(null);
            answer.refresh();
          }}
        />
      )}
    </Page>
  );
}

const columns: readonly Column<PolicyRowFragment>[] = [
  {
    id: "name",
    header: "Name",
    sortingField: "NAME",
    isRowHeader: true,
    minWidth: 180,
    cell: (policy) => (
      <div>
        <RouterLink to={paths.policy(policy.id)}>{policy.name}</RouterLink>
        {policy.description && (
          <Box color="text-body-secondary" fontSize="body-s">
            {policy.description}
          </Box>
        )}
      </div>
    ),
  },
  {
    id: "status",
    header: "Status",
    minWidth: 110,
    cell: (policy) =>
      policy.enabled ? <StatusIndicator wrapText={false} type="success">Enabled</StatusIndicator> : <StatusIndicator wrapText={false} type="stopped">Disabled</StatusIndicator>,
  },
  { id: "priority", header: "Priority", sortingField: "PRIORITY", cell: (policy) => policy.priority },
  { id: "resources", header: "Resources", cell: (policy) => policy.resourceCount.toLocaleString("en-US") },
  {
    id: "schedule",
    header: "Schedule",
    minWidth: 160,
    cell: (policy) => <span title={scheduleSentence(policy.schedule)}>{scheduleShort(policy.schedule)}</span>,
  },
  { id: "repository", header: "Repository", cell: (policy) => policy.repository?.name ?? <Box color="text-body-secondary">Snapshots only</Box> },
  { id: "next", header: "Next run", cell: (policy) => <When at={policy.nextRunAt} ago none={policy.enabled ? "By hand" : "–"} /> },
  {
    id: "last",
    header: "Last run",
    minWidth: 130,
    cell: (policy) =>
      policy.lastSession ? (
        <div>
          <RouterLink to={paths.session(policy.lastSession.id)}>
            <StateIndicator state={policy.lastSession.state} />
          </RouterLink>
          <Box color="text-body-secondary" fontSize="body-s">
            <When at={policy.lastSession.endedAt ?? policy.lastSession.createdAt} ago />
          </Box>
        </div>
      ) : (
        <Box color="text-body-secondary">Never</Box>
      ),
  },
];
