import { useMemo } from "react";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import Skeleton from "@cloudscape-design/components/skeleton";
import { EstimatePolicyDocument } from "../../../api/generated";
import { useData } from "../../../api/useData";
import { ProblemAlert } from "../../../ui/ProblemAlert";
import { inputOf } from "../draft";
import { EstimateTable } from "../Estimate";
import type { StepProps } from "./stepProps";

/** What it is expected to cost; worked out when the step is shown. */
export function CostStep({ draft, policyId }: StepProps) {
  const input = useMemo(() => inputOf(draft), [draft]);
  const answer = useData(EstimatePolicyDocument, { input, id: policyId });
  const estimate = answer.data?.estimatePolicy;
  if (answer.problem) return <ProblemAlert header="The cost cannot be estimated" problem={answer.problem} onRetry={answer.refresh} />;
  if (!estimate) {
    return (
      <Container header={<Header variant="h2">Expected cost</Header>}>
        <Skeleton height="120px" />
      </Container>
    );
  }
  return <EstimateTable estimate={estimate} name={draft.name.trim() || "policy"} />;
}
