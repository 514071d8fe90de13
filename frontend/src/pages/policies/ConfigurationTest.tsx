import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import CopyToClipboard from "@cloudscape-design/components/copy-to-clipboard";
import ExpandableSection from "@cloudscape-design/components/expandable-section";
import Header from "@cloudscape-design/components/header";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator, { type StatusIndicatorProps } from "@cloudscape-design/components/status-indicator";
import Table from "@cloudscape-design/components/table";
import { useState } from "react";
import { TestConfigurationDocument, type ConfigurationArea, type ConfigurationFinding, type TestConfigurationMutation } from "../../api/generated";
import { useCommand } from "../../api/useData";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { inputOf, type PolicyDraft } from "./draft";

type Result = TestConfigurationMutation["testConfiguration"];
type Check = Result["checks"][number];

const STATE: Record<ConfigurationFinding, { type: StatusIndicatorProps.Type; text: string; urgency: number }> = {
  FAILED: { type: "error", text: "Fails", urgency: 0 },
  WARNING: { type: "warning", text: "Look at this", urgency: 1 },
  PASSED: { type: "success", text: "Works", urgency: 2 },
};

const AREA: Record<ConfigurationArea, string> = {
  POLICY: "Policy",
  ACCOUNT: "Account",
  PERMISSIONS: "Permissions",
  REGION: "Region",
  ENDPOINT: "Network",
  REPLICA: "Replica target",
  KEY: "KMS key",
  REPOSITORY: "Repository",
  GUEST: "Guest processing",
};

/** Tries out everything the policy needs before it is saved: roles, Regions, keys, repositories, instances. */
export function ConfigurationTest({ draft, policyId }: { draft: PolicyDraft; policyId: string | null }) {
  const test = useCommand(TestConfigurationDocument);
  const [result, setResult] = useState<Result | null>(null);
  return (
    <Container
      header={
        <Header
          variant="h2"
          description="Permissions of the roles, Regions, keys, repositories and the instances' agents are tried out. Nothing stays behind."
          actions={
            <Button
              loading={test.busy}
              onClick={() =>
                void test.run({ input: { policy: inputOf(draft), id: policyId } }).then(({ data }) => setResult(data?.testConfiguration ?? null))
              }
            >
              Test configuration
            </Button>
          }
        >
          Test
        </Header>
      }
    >
      {test.problem && <ProblemAlert header="The test could not be made" problem={test.problem} />}
      {!test.problem && !result && <Box color="text-body-secondary">Not tested yet.</Box>}
      {result && <Outcome result={result} />}
    </Container>
  );
}

function Outcome({ result }: { result: Result }) {
  const checks = [...result.checks].sort((left, right) => STATE[left.finding].urgency - STATE[right.finding].urgency);
  return (
    <SpaceBetween size="m">
      <Table<Check>
        variant="embedded"
        contentDensity="compact"
        wrapLines
        items={checks}
        columnDefinitions={[
          {
            id: "state",
            header: "Result",
            minWidth: 120,
            cell: (check) => (
              <StatusIndicator wrapText={false} type={STATE[check.finding].type}>
                {STATE[check.finding].text}
              </StatusIndicator>
            ),
          },
          { id: "area", header: "What", minWidth: 120, cell: (check) => AREA[check.area] },
          {
            id: "subject",
            header: "Of",
            isRowHeader: true,
            minWidth: 130,
            cell: (check) => (
              <div>
                {check.subject}
                {check.account && check.account !== check.subject && (
                  <Box color="text-body-secondary" fontSize="body-s">
                    {check.account}
                  </Box>
                )}
              </div>
            ),
          },
          {
            id: "message",
            header: "Found",
            minWidth: 200,
            cell: (check) => (
              <div>
                {check.message}
                {check.remedy && <Box color="text-body-secondary">{check.remedy}</Box>}
              </div>
            ),
          },
        ]}
        empty="Nothing had to be tried."
      />
      {result.missingPolicy && <Permissions title="Missing permissions" note="Of all roles together, as one IAM policy." document={result.missingPolicy} open />}
      {result.missingPermissions.length > 1 &&
        result.missingPermissions.map((each) => (
          <Permissions
            key={each.account}
            title={`Missing in ${each.account}`}
            note={each.roleArn ? `Attach it to ${each.roleArn}.` : "Attach it to the appliance's own role."}
            document={each.document}
          />
        ))}
    </SpaceBetween>
  );
}

function Permissions({ title, note, document, open = false }: { title: string; note: string; document: string; open?: boolean }) {
  return (
    <ExpandableSection
      variant="container"
      defaultExpanded={open}
      headerText={title}
      headerDescription={`${note} Then test again.`}
      headerActions={<CopyToClipboard copyButtonText="Copy" copySuccessText="Copied" copyErrorText="Could not copy" textToCopy={document} />}
    >
      <pre className="hf-log hf-document">{document}</pre>
    </ExpandableSection>
  );
}
