import { useState } from "react";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { PoliciesDocument, SlaPoliciesDocument, type PolicyKind, type PolicyOrderField } from "../../api/generated";
import { useData } from "../../api/useData";
import { paths } from "../../app/paths";
import { ListTable, type Choice } from "../../listing/ListTable";
import type { ListShape } from "../../listing/address";
import { useListView } from "../../listing/useListView";
import { EmptyState } from "../../ui/EmptyState";
import { RouterButton } from "../../ui/RouterLink";
import { PolicyActions } from "./PolicyActions";
import { scheduleColumns, slaColumns, type SlaPolicy } from "./policyColumns";

const shape: ListShape<PolicyOrderField> = {
  fields: ["PRIORITY", "NAME"],
  sort: "PRIORITY",
  descending: false,
  choices: ["status", "period"],
};

const STATUS: Choice = {
  name: "status",
  label: "Status",
  options: [
    { value: "enabled", label: "Enabled" },
    { value: "disabled", label: "Disabled" },
  ],
};
const PERIOD: Choice = {
  name: "period",
  label: "Period",
  none: "Last day",
  options: [
    { value: "WEEKLY", label: "Last week" },
    { value: "MONTHLY", label: "Last month" },
  ],
};

/** Policies of one kind, in the order in which they claim instances. */
export function PolicyTable({ kind }: { kind: PolicyKind }) {
  const list = useListView(shape);
  const [selectedId, setSelectedId] = useState<string | null>(null);
  const { status, period } = list.view.choices;
  const variables = {
    first: list.size,
    offset: list.offset,
    filter: { kind, search: list.view.search || undefined, enabled: status === "enabled" ? true : status === "disabled" ? false : undefined },
    order: [{ field: list.view.sort, direction: list.view.descending ? ("DESC" as const) : ("ASC" as const) }],
  };
  const sla = kind === "SLA";
  const live = { live: ["policy", "session", "resource"] as const };
  const scheduled = useData(PoliciesDocument, variables, { ...live, pause: sla });
  const promised = useData(
    SlaPoliciesDocument,
    { ...variables, period: period === "WEEKLY" || period === "MONTHLY" ? period : "DAILY" },
    { ...live, pause: !sla },
  );
  const answer = sla ? promised : scheduled;
  const items: readonly SlaPolicy[] = (sla ? promised.data : scheduled.data)?.policies.edges.map((edge) => edge.node) ?? [];
  const selected = items.find((policy) => policy.id === selectedId) ?? null;
  const create = (
    <RouterButton to={sla ? `${paths.newPolicy}?kind=SLA` : paths.newPolicy} variant="primary">
      Create policy
    </RouterButton>
  );
  return (
    <ListTable
      title={sla ? "SLA policies" : "Scheduled policies"}
      noun="policy"
      variant="container"
      columns={sla ? slaColumns : scheduleColumns}
      answer={answer}
      items={items}
      total={(sla ? promised.data : scheduled.data)?.policies.totalCount}
      list={list}
      choices={sla ? [STATUS, PERIOD] : [STATUS]}
      searchHint="Find by name"
      trackBy={(policy) => policy.id}
      nameOf={(policy) => policy.name}
      selection={{ type: "single", items: selected ? [selected] : [], onChange: ([policy]) => setSelectedId(policy?.id ?? null) }}
      actions={
        <SpaceBetween direction="horizontal" size="xs">
          <PolicyActions policy={selected} ordered onChanged={answer.refresh} onDeleted={() => setSelectedId(null)} />
          {create}
        </SpaceBetween>
      }
      empty={
        <EmptyState
          title={sla ? "No SLA policy yet" : "No policy yet"}
          text={
            sla
              ? "An SLA policy promises how often instances are saved, and shows what was kept of the promise."
              : "A policy says what is backed up, when, and how long it is kept."
          }
        >
          {create}
        </EmptyState>
      }
    />
  );
}
