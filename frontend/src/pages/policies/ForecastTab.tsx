import Box from "@cloudscape-design/components/box";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import Skeleton from "@cloudscape-design/components/skeleton";
import { PolicyForecastDocument } from "../../api/generated";
import { useData } from "../../api/useData";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { ForecastList } from "./Forecast";
import { FORECAST_DAYS } from "./forecastDays";

/** What a saved policy will do, from the restore points there are now. */
export function ForecastTab({ policyId, timeZone }: { policyId: string; timeZone: string | undefined }) {
  const answer = useData(PolicyForecastDocument, { id: policyId, days: FORECAST_DAYS }, { live: ["policy", "session"] });
  const node = answer.data?.node;
  const runs = node?.__typename === "Policy" ? node.forecast.runs : undefined;
  return (
    <Container
      header={
        <Header variant="h2" description="From the restore points there are now, by the very rules that will do it.">
          The next {FORECAST_DAYS} days
        </Header>
      }
    >
      {answer.problem && <ProblemAlert header="The forecast cannot be shown" problem={answer.problem} onRetry={answer.refresh} />}
      {!runs && !answer.problem && (
        <Box>
          <Skeleton height="120px" />
        </Box>
      )}
      {runs && <ForecastList runs={runs} timeZone={timeZone} />}
    </Container>
  );
}
