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
import { TestPolicyConfigurationDocument, type CheckState, type TestPolicyConfigurationQuery } from "../../api/generated";
import { useQuestion } from "../../api/useData";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { inputOf, type PolicyDraft } from "./draft";

type Result = TestPolicyConfigurationQuery["testPolicyConfiguration"];
type Check = Result["checks"][number];

const STATE: Record<CheckState, { type: StatusIndicatorProps.Type; text: string; urgency: number }> = {
  FAILED: { type: "error", text: "Fails", urgency: 0 },
  WARNING: { type: "warning", text: "Look at this", urgency: 1 },
  OK: { type: "success", text: "Works", urgency: 2 },
};

/** Tries out everything the policy needs before it is saved: roles, Regions, keys, repositories, instances. */
export function ConfigurationTest({ draft, policyId }: { draft: PolicyDraft; policyId: string | null }) {
  const test = useQuestion(TestPolicyConfigurationDocument);
  const [result, setResult] = useState<Result | null>(null);
  return (
    <Container
      header={
        <Header
          variant="h2"
          description="Permissions of the roles, Regions, keys, repositories and the instances' agents are tried out. Nothing is changed."
          actions={
            <Button
              loading={test.busy}
              onClick={() => void test.run({ input: inputOf(draft), id: policyId }).then(({ data }) => setResult(data?.testPolicyConfiguration ?? null))}
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
  const checks = [...result.checks].sort((left, right) => STATE[left.state].urgency - STATE[right.state].urgency);
  const missing = result.missingPermissions ? JSON.stringify(result.missingPermissions, null, 2) : null;
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
              <StatusIndicator wrapText={false} type={STATE[check.state].type}>
                {STATE[check.state].text}
              </StatusIndicator>
            ),
          },
          { id: "subject", header: "Of", isRowHeader: true, minWidth: 120, cell: (check) => check.subject },
          { id: "what", header: "What", minWidth: 130, cell: (check) => check.what },
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
      {missing && (
        <ExpandableSection
          defaultExpanded
          headerText="Missing permissions"
          headerDescription="Attach this IAM policy to the roles named above, then test again."
          headerActions={<CopyToClipboard copyButtonText="Copy" copySuccessText="Copied" copyErrorText="Could not copy" textToCopy={missing} />}
          variant="container"
        >
          <pre className="hf-log hf-document">{missing}</pre>
        </ExpandableSection>
      )}
    </SpaceBetween>
  );
}
