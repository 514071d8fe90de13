import Box from "@cloudscape-design/components/box";
import Container from "@cloudscape-design/components/container";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import RadioGroup from "@cloudscape-design/components/radio-group";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import type { RetrievalMode, StorageClass } from "../../api/generated";
import { fieldError, type Problem } from "../../api/errors";
import { usd } from "../../format/money";
import { count } from "../../format/text";
import { size } from "../../format/size";
import { RETRIEVAL_MODE } from "../../format/words";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { When } from "../../ui/When";
import { daysProblem, modesOf, needsRetrieval } from "./archives";
import { ESTIMATED_MAX, useEstimate } from "./useEstimate";
import type { PointDetail } from "./usePoint";

export interface RetrievalChoice {
  readonly mode: RetrievalMode;
  /** As typed. */
  readonly days: string;
}

export const USUAL_RETRIEVAL: RetrievalChoice = { mode: "STANDARD", days: "1" };

interface RetrievalFieldsProps {
  readonly pointIds: readonly string[];
  readonly classes: readonly StorageClass[];
  /** Null: all disks. */
  readonly disks?: readonly string[] | null;
  readonly choice: RetrievalChoice;
  readonly error?: (field: string) => string | undefined;
  readonly onChange: (choice: RetrievalChoice) => void;
}

/** How fast, for how long, and what that costs. */
export function RetrievalFields({ pointIds, classes, disks = null, choice, error, onChange }: RetrievalFieldsProps) {
  const wrong = daysProblem(choice.days);
  return (
    <SpaceBetween size="l">
      <FormField label="How fast" errorText={error?.("mode") ?? error?.("retrievalMode")}>
        <RadioGroup
          value={choice.mode}
          onChange={({ detail }) => onChange({ ...choice, mode: detail.value as RetrievalMode })}
          items={modesOf(classes).map((each) => ({ ...each, label: RETRIEVAL_MODE[each.value] }))}
        />
      </FormField>
      <FormField
        label="Days it stays readable"
        description="Afterwards it is archived as before. It can be kept longer at any time."
        errorText={wrong ?? error?.("days") ?? error?.("retrievalDays")}
      >
        <Input type="number" inputMode="numeric" value={choice.days} onChange={({ detail }) => onChange({ ...choice, days: detail.value })} />
      </FormField>
      <Cost pointIds={pointIds} disks={disks} mode={choice.mode} days={wrong ? 0 : Number(choice.days)} />
    </SpaceBetween>
  );
}

/** `Retrieved first: Standard, readable for 2 days`. */
export function retrievalWords(choice: RetrievalChoice): string {
  return `Retrieved from the archive: ${RETRIEVAL_MODE[choice.mode].toLowerCase()}, readable for ${count(Number(choice.days), "day")}`;
}

/** What is wrong with the choice, for a point whose restore retrieves it first. */
export function retrievalProblem(point: PointDetail, choice: RetrievalChoice): string | undefined {
  return needsRetrieval(point) ? daysProblem(choice.days) : undefined;
}

interface RetrievalContainerProps {
  readonly point: PointDetail;
  readonly disks: readonly string[] | null;
  readonly choice: RetrievalChoice;
  readonly problem: Problem | null;
  readonly onChange: (choice: RetrievalChoice) => void;
}

/** In a restore: how an archive is made readable first. Nothing for a point that can be read as it is. */
export function RetrievalContainer({ point, disks, choice, problem, onChange }: RetrievalContainerProps) {
  if (!needsRetrieval(point)) return null;
  return (
    <Container
      header={
        <Header variant="h2" description="The data is archived. It is made readable first; the restore goes on by itself when it is there.">
          Retrieval
        </Header>
      }
    >
      <RetrievalFields
        pointIds={[point.id]}
        classes={[point.repository?.storageClass ?? "GLACIER"]}
        disks={disks}
        choice={choice}
        error={(field) => fieldError(problem, field)}
        onChange={onChange}
      />
    </Container>
  );
}

interface CostProps {
  readonly pointIds: readonly string[];
  readonly disks: readonly string[] | null;
  readonly mode: RetrievalMode;
  readonly days: number;
}

function Cost({ pointIds, disks, mode, days }: CostProps) {
  const { estimate, problem, busy } = useEstimate(pointIds, mode, days, disks);
  if (problem) return <ProblemAlert header="The cost cannot be estimated" problem={problem} />;
  if (busy || !estimate || days === 0) return <StatusIndicator type="loading">Estimating time and cost</StatusIndicator>;
  const parts = [
    `${usd(estimate.usdRetrieval)} for the data`,
    `${usd(estimate.usdRequests)} for requests`,
    `${usd(estimate.usdCopies)} for keeping it readable`,
  ].join(", ");
  return (
    <div role="status" aria-label="Estimate">
      <SpaceBetween size="xs">
        <KeyValuePairs
          columns={3}
          items={[
            { label: "Estimated cost", value: <strong>{sentence(usd(estimate.usd))}</strong> },
            { label: "Data to retrieve", value: estimate.sizeBytes > 0 ? size(estimate.sizeBytes) : "None: all of it is readable" },
            { label: "Readable by", value: <When at={estimate.readyBy} /> },
          ]}
        />
        <Box color="text-body-secondary" fontSize="body-s">
          {estimate.usd > 0 && `${sentence(parts)}. `}
          List prices of {estimate.pricesOf}
          {estimate.exactRegion ? "." : "; the Region's own are not known, those of an expensive one are used."}
          {pointIds.length > ESTIMATED_MAX && ` For the first ${ESTIMATED_MAX} of ${pointIds.length} restore points.`}
        </Box>
      </SpaceBetween>
    </div>
  );
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
