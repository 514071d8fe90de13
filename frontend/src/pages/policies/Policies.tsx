import { useState } from "react";
import Button from "@cloudscape-design/components/button";
import Header from "@cloudscape-design/components/header";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Tabs from "@cloudscape-design/components/tabs";
import { ExportPoliciesDocument } from "../../api/generated";
import { useQuestion } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { Page } from "../../app/page";
import { saveText } from "../../ui/saveText";
import { useTab } from "../../ui/useTab";
import { ImportPolicies } from "./ImportPolicies";
import { PolicyTable } from "./PolicyTable";

export default function Policies() {
  const [tab, setTab] = useTab(["schedule", "sla"]);
  const [importing, setImporting] = useState(false);
  const exporting = useQuestion(ExportPoliciesDocument);
  const notifications = useNotifications();

  async function exportAll(): Promise<void> {
    const { data, problem } = await exporting.run({});
    if (problem) notifications.failure("The policies could not be exported", problem);
    if (data) saveText("policies.json", data.exportPolicies, "application/json");
  }

  return (
    <Page title="Policies" contentType="table">
      <SpaceBetween size="m">
        <Header
          variant="h1"
          description="What is protected, when, and how long it is kept. An instance is protected by one policy: SLA policies come first, then the order of the list."
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <Button iconName="upload" onClick={() => setImporting(true)}>
                Import
              </Button>
              <Button iconName="download" loading={exporting.busy} onClick={() => void exportAll()}>
                Export
              </Button>
            </SpaceBetween>
          }
        >
          Policies
        </Header>
        <Tabs
          activeTabId={tab}
          onChange={({ detail }) => setTab(detail.activeTabId)}
          tabs={[
            { id: "schedule", label: "By schedule", content: tab === "schedule" && <PolicyTable kind="SCHEDULE" /> },
            { id: "sla", label: "By SLA", content: tab === "sla" && <PolicyTable kind="SLA" /> },
          ]}
        />
      </SpaceBetween>
      {importing && <ImportPolicies onClose={() => setImporting(false)} />}
    </Page>
  );
}
