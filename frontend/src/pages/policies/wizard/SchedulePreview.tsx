import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Spinner from "@cloudscape-design/components/spinner";
import { FREQUENCIES, LEGS } from "../../../format/calendar";
import { FlagBadges } from "../../../ui/FlagBadges";
import { LegName } from "../../../ui/LegName";
import { ProblemAlert } from "../../../ui/ProblemAlert";
import { RunCalendar } from "../RunCalendar";
import type { Preview, PreviewAnswer } from "./usePreview";

interface SchedulePreviewProps {
  readonly answer: PreviewAnswer;
  readonly timeZone?: string;
}

/** What the schedule, as it stands, will do: the server's own words, runs and rules. */
export function SchedulePreview({ answer, timeZone }: SchedulePreviewProps) {
  const { preview, pending, problem } = answer;
  return (
    <Container
      header={
        <Header variant="h2" actions={pending ? <Spinner /> : undefined}>
          What it will do
        </Header>
      }
    >
      <SpaceBetween size="m">
        {problem && <ProblemAlert header="The preview cannot be shown" problem={problem} />}
        {!preview && !problem && <Box color="text-body-secondary">Fill in the fields, and this shows when it runs and what it keeps.</Box>}
        {preview && <Told preview={preview} timeZone={timeZone} />}
      </SpaceBetween>
    </Container>
  );
}

function Told({ preview, timeZone }: { preview: Preview; timeZone: string | undefined }) {
  return (
    <SpaceBetween size="m">
      <div aria-live="polite">{preview.scheduleText || "The times are not complete yet."}</div>
      {preview.warnings.map((warning) => (
        <Alert key={warning} type="warning">
          {warning}
        </Alert>
      ))}
      {preview.nextRuns.length > 0 && (
        <SpaceBetween size="xs">
          <Box variant="h3">Next runs</Box>
          <RunCalendar runs={preview.nextRuns} timeZone={timeZone} />
        </SpaceBetween>
      )}
      {preview.keeps.length > 0 && (
        <SpaceBetween size="xs">
          <Box variant="h3">What is kept</Box>
          <Keeps keeps={preview.keeps} />
        </SpaceBetween>
      )}
    </SpaceBetween>
  );
}

/** The rules by which points stay, leg by leg, the most frequent schedule first. */
export function Keeps({ keeps }: { keeps: Preview["keeps"] }) {
  return (
    <dl className="hf-keeps">
      {LEGS.filter((leg) => keeps.some((line) => line.leg === leg)).map((leg) => (
        <div key={leg}>
          <dt>
            <LegName leg={leg} />
          </dt>
          {[...keeps]
            .filter((line) => line.leg === leg)
            .sort((left, right) => rank(left) - rank(right))
            .map((line) => (
              <dd key={line.text}>
                <FlagBadges flags={line.frequency ? [line.frequency] : []} /> <span>{line.text}</span>
              </dd>
            ))}
        </div>
      ))}
    </dl>
  );
}

function rank(line: Preview["keeps"][number]): number {
  return line.frequency ? FREQUENCIES.indexOf(line.frequency) : FREQUENCIES.length;
}
