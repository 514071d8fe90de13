import { useState } from "react";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Header from "@cloudscape-design/components/header";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Tabs from "@cloudscape-design/components/tabs";
import { useNavigate } from "react-router";
import { SlaTemplatesDocument, StorageTemplatesDocument, type SlaTemplateRowFragment, type StorageTemplateRowFragment, type TemplateOrderField } from "../../api/generated";
import { useData } from "../../api/useData";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { ListTable, type Column } from "../../listing/ListTable";
import type { ListShape } from "../../listing/address";
import { useListView } from "../../listing/useListView";
import { EmptyState } from "../../ui/EmptyState";
import { RouterButton, RouterLink } from "../../ui/RouterLink";
import { useTab } from "../../ui/useTab";
import { When } from "../../ui/When";
import { TemplateActions } from "./TemplateActions";
import { legsPromised, UsedBy } from "./templateParts";

export default function Templates() {
  const [tab, setTab] = useTab(["sla", "storage"]);
  return (
    <Page title="Templates" contentType="table">
      <SpaceBetween size="m">
        <Header variant="h1" description="What SLA policies are made of: what is promised, and where it is stored.">
          Templates
        </Header>
        <Tabs
          activeTabId={tab}
          onChange={({ detail }) => setTab(detail.activeTabId)}
          tabs={[
            { id: "sla", label: "SLA templates", content: tab === "sla" && <SlaTemplates /> },
            { id: "storage", label: "Storage templates", content: tab === "storage" && <StorageTemplates /> },
          ]}
        />
      </SpaceBetween>
    </Page>
  );
}

const shape: ListShape<TemplateOrderField> = { fields: ["NAME", "UPDATED_AT"], sort: "NAME", descending: false, choices: [] };

function useVariables() {
  const list = useListView(shape);
  const variables = {
    first: list.size,
    offset: list.offset,
    filter: { search: list.view.search || undefined },
    order: [{ field: list.view.sort, direction: list.view.descending ? ("DESC" as const) : ("ASC" as const) }],
  };
  return { list, variables };
}

function SlaTemplates() {
  const { list, variables } = useVariables();
  const [selectedId, setSelectedId] = useState<string | null>(null);
  const answer = useData(SlaTemplatesDocument, variables, { live: ["policy", "sla_template"] });
  const items = answer.data?.slaTemplates.edges.map(({ node }) => node) ?? [];
  const selected = items.find((each) => each.id === selectedId) ?? null;
  const create = (
    <RouterButton to={paths.newSlaTemplate} variant="primary">
      Create SLA template
    </RouterButton>
  );
  return (
    <ListTable
      title="SLA templates"
      noun="template"
      variant="container"
      columns={slaColumns}
      answer={answer}
      items={items}
      total={answer.data?.slaTemplates.totalCount}
      list={list}
      searchHint="Find by name"
      trackBy={(each) => each.id}
      nameOf={(each) => each.name}
      selection={{ type: "single", items: selected ? [selected] : [], onChange: ([each]) => setSelectedId(each?.id ?? null) }}
      actions={
        <SpaceBetween direction="horizontal" size="xs">
          <EditButton to={selected && paths.editSlaTemplate(selected.id)} />
          <TemplateActions kind="sla" template={selected} onChanged={answer.refresh} />
          {create}
        </SpaceBetween>
      }
      empty={
        <EmptyState title="No SLA template yet" text="It says how often restore points are promised, in which window, and how long they are kept.">
          {create}
        </EmptyState>
      }
    />
  );
}

function StorageTemplates() {
  const { list, variables } = useVariables();
  const [selectedId, setSelectedId] = useState<string | null>(null);
  const answer = useData(StorageTemplatesDocument, variables, { live: ["policy", "repository", "storage_template"] });
  const items = answer.data?.storageTemplates.edges.map(({ node }) => node) ?? [];
  const selected = items.find((each) => each.id === selectedId) ?? null;
  const create = (
    <RouterButton to={paths.newStorageTemplate} variant="primary">
      Create storage template
    </RouterButton>
  );
  return (
    <ListTable
      title="Storage templates"
      noun="template"
      variant="container"
      columns={storageColumns}
      answer={answer}
      items={items}
      total={answer.data?.storageTemplates.totalCount}
      list={list}
      searchHint="Find by name"
      trackBy={(each) => each.id}
      nameOf={(each) => each.name}
      selection={{ type: "single", items: selected ? [selected] : [], onChange: ([each]) => setSelectedId(each?.id ?? null) }}
      actions={
        <SpaceBetween direction="horizontal" size="xs">
          <EditButton to={selected && paths.editStorageTemplate(selected.id)} />
          <TemplateActions kind="storage" template={selected} onChanged={answer.refresh} />
          {create}
        </SpaceBetween>
      }
      empty={
        <EmptyState title="No storage template yet" text="It names the repositories that backups and archives of SLA policies go to.">
          {create}
        </EmptyState>
      }
    />
  );
}

function EditButton({ to }: { to: string | null }) {
  const navigate = useNavigate();
  return (
    <Button disabled={to === null} onClick={() => to !== null && void navigate(to)}>
      Edit
    </Button>
  );
}

const slaColumns: readonly Column<SlaTemplateRowFragment>[] = [
  {
    id: "name",
    header: "Name",
    sortingField: "NAME",
    isRowHeader: true,
    minWidth: 180,
    cell: (each) => (
      <div>
        <RouterLink to={paths.slaTemplate(each.id)}>{each.name}</RouterLink>
        <Description text={each.description} />
      </div>
    ),
  },
  { id: "promises", header: "Promises", minWidth: 220, cell: (each) => legsPromised(each.terms) },
  { id: "target", header: "Kept from", cell: (each) => `${each.terms.target} %` },
  { id: "version", header: "Version", cell: (each) => each.version },
  { id: "policies", header: "Used by", minWidth: 140, cell: (each) => <UsedBy policies={each.policies} /> },
  { id: "updated", header: "Changed", sortingField: "UPDATED_AT", cell: (each) => <When at={each.updatedAt} ago /> },
];

const storageColumns: readonly Column<StorageTemplateRowFragment>[] = [
  {
    id: "name",
    header: "Name",
    sortingField: "NAME",
    isRowHeader: true,
    minWidth: 180,
    cell: (each) => (
      <div>
        <RouterLink to={paths.storageTemplate(each.id)}>{each.name}</RouterLink>
        <Description text={each.description} />
      </div>
    ),
  },
  { id: "backup", header: "Backups", minWidth: 140, cell: (each) => <Place location={each.backup} /> },
  { id: "archive", header: "Archives", minWidth: 140, cell: (each) => (each.archive ? <Place location={each.archive} /> : <Box color="text-body-secondary">None</Box>) },
  { id: "policies", header: "Used by", minWidth: 140, cell: (each) => <UsedBy policies={each.policies} /> },
  { id: "updated", header: "Changed", sortingField: "UPDATED_AT", cell: (each) => <When at={each.updatedAt} ago /> },
];

function Place({ location }: { location: StorageTemplateRowFragment["backup"] }) {
  return (
    <div>
      {location.default.name}
      {location.regions.length > 0 && (
        <Box color="text-body-secondary" fontSize="body-s">
          others for {location.regions.map(({ region }) => region).join(", ")}
        </Box>
      )}
    </div>
  );
}

function Description({ text }: { text: string }) {
  if (!text) return null;
  return (
    <Box color="text-body-secondary" fontSize="body-s">
      {text}
    </Box>
  );
}
