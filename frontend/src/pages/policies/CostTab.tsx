import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import Skeleton from "@cloudscape-design/components/skeleton";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Table from "@cloudscape-design/components/table";
import { PolicyCostDocument, RefreshPricesDocument, type PolicyCostQuery } from "../../api/generated";
import { useCommand, useData } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { usd } from "../../format/money";
import { EmptyState } from "../../ui/EmptyState";
import { LegName } from "../../ui/LegName";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { EstimateTable } from "./Estimate";

type Actual = PolicyCostQuery["policyActualCosts"][number];

/** What a policy is expected to cost, and what its restore points really take. */
export function CostTab({ policy }: { policy: { readonly id: string; readonly name: string } }) {
  const answer = useData(PolicyCostDocument, { id: policy.id }, { live: ["policy", "session"] });
  const refresh = useCommand(RefreshPricesDocument);
  const notifications = useNotifications();
  async function refreshPrices(): Promise<void> {
    const { data, problem } = await refresh.run({ input: { clientMutationId: refresh.key } });
    if (problem) notifications.failure("The prices could not be read", problem);
    if (data?.refreshPrices.session) notifications.session(data.refreshPrices.session);
  }
  if (answer.problem) return <ProblemAlert header="The cost cannot be shown" problem={answer.problem} onRetry={answer.refresh} />;
  if (!answer.data) {
    return (
      <Container header={<Header variant="h2">Expected cost</Header>}>
        <Skeleton height="120px" />
      </Container>
    );
  }
  return (
    <SpaceBetween size="l">
      <Table<Actual>
        variant="container"
        wrapLines
        header={
          <Header
            variant="h2"
            description="What its restore points take now, and what was expected of so many of them."
            actions={
              <Button loading={refresh.busy} onClick={() => void refreshPrices()}>
                Read prices anew
              </Button>
            }
          >
            As it is
          </Header>
        }
        items={answer.data.policyActualCosts}
        trackBy="leg"
        columnDefinitions={[
          { id: "leg", header: "What", isRowHeader: true, cell: (row) => <LegName leg={row.leg} /> },
          { id: "points", header: "Restore points", cell: (row) => row.points.toLocaleString("en-US") },
          { id: "gib", header: "Takes", cell: (row) => <span className="hf-number">{amount(row.gib)}</span> },
          { id: "expected", header: "Expected", cell: (row) => <span className="hf-number">{amount(row.estimatedGib)}</span> },
          { id: "read", header: "Read in 30 days", cell: (row) => <span className="hf-number">{row.readGib > 0 ? amount(row.readGib) : "–"}</span> },
          {
            id: "usd",
            header: "A month",
            cell: (row) => (
              <span className="hf-number">
                {row.exact || row.usd < 0.01 ? "" : "about "}
                {usd(row.usd)}
              </span>
            ),
          },
          { id: "usdExpected", header: "Expected a month", cell: (row) => <span className="hf-number">{usd(row.estimatedUsd)}</span> },
        ]}
        empty={<EmptyState title="Nothing yet" text="The first run makes restore points; what they take is shown here." />}
      />
      <EstimateTable estimate={answer.data.policyEstimate} name={policy.name} />
    </SpaceBetween>
  );
}

function amount(gib: number): string {
  return `${gib.toLocaleString("en-US", { maximumFractionDigits: 2 })} GiB`;
}
