import Header from "@cloudscape-design/components/header";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Tabs from "@cloudscape-design/components/tabs";
import { Page } from "../../app/page";
import { useTab } from "../../ui/useTab";
import { PolicyTable } from "./PolicyTable";

export default function Policies() {
  const [tab, setTab] = useTab(["schedule", "sla"]);
  return (
    <Page title="Policies" contentType="table">
      <SpaceBetween size="m">
        <Header
          variant="h1"
          description="What is protected, when, and how long it is kept. An instance is protected by one policy: SLA policies come first, then the order of the list."
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
    </Page>
  );
}
