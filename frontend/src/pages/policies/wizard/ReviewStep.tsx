import { useMemo } from "react";
import Alert from "@cloudscape-design/components/alert";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import Skeleton from "@cloudscape-design/components/skeleton";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { ForecastPolicyDocument } from "../../../api/generated";
import type { Problems } from "../../../api/fields";
import { useData } from "../../../api/useData";
import { ProblemAlert } from "../../../ui/ProblemAlert";
import { ConfigurationTest } from "../ConfigurationTest";
import { CoveredTable } from "../CoveredTable";
import { inputOf } from "../draft";
import { ForecastList } from "../Forecast";
import { FORECAST_DAYS } from "../forecastDays";
import { settingSentences } from "../settingWords";
import { Keeps } from "./SchedulePreview";
import type { StepProps } from "./stepProps";



/** The whole policy once more: in words, as the coming two weeks, and as the instances it protects. */
export function ReviewStep({ problems, ...props }: StepProps & { problems: Problems }) {
  const { draft, answer, choices, names, policyId } = props;
  const { preview } = answer;
  const others = Object.entries(problems);
  const timezone = draft.kind === "SCHEDULE" ? draft.schedule.timezone : undefined;
  return (
    <SpaceBetween size="l">
      {others.length > 0 && (
        <Alert type="error" header="It cannot be saved like this">
          {others.map(([path, sentence]) => (
            <div key={path}>{sentence}</div>
          ))}
        </Alert>
      )}
      {preview?.warnings.map((warning) => (
        <Alert key={warning} type="warning">
          {warning}
        </Alert>
      ))}
      <Container header={<Header variant="h2">{draft.name.trim() || "The policy"} in plain words</Header>}>
        <SpaceBetween size="m">
          <ul className="hf-sentences">
            {preview && <li>{preview.scheduleText}</li>}
            {settingSentences(draft, choices, names).map((sentence) => (
              <li key={sentence}>{sentence}</li>
            ))}
          </ul>
          {preview && preview.keeps.length > 0 && <Keeps keeps={preview.keeps} />}
        </SpaceBetween>
      </Container>
      <ConfigurationTest draft={draft} policyId={policyId} />
      <DraftForecast draft={draft} policyId={policyId} timeZone={timezone} />
      <CoveredTable answer={answer} coveredOnly />
    </SpaceBetween>
  );
}

function DraftForecast({ draft, policyId, timeZone }: Pick<StepProps, "draft" | "policyId"> & { timeZone: string | undefined }) {
  const input = useMemo(() => inputOf(draft), [draft]);
  const answer = useData(ForecastPolicyDocument, { input, id: policyId, days: FORECAST_DAYS });
  const runs = answer.data?.forecastPolicy.runs;
  return (
    <Container
      header={
        <Header variant="h2" description="Worked out by the very rules that will do it.">
          The next {FORECAST_DAYS} days
        </Header>
      }
    >
      {answer.problem && <ProblemAlert header="The forecast cannot be shown" problem={answer.problem} onRetry={answer.refresh} />}
      {!runs && !answer.problem && <Skeleton height="120px" />}
      {runs && <ForecastList runs={runs} timeZone={timeZone} />}
    </Container>
  );
}
