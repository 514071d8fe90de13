import { useState } from "react";
import Box from "@cloudscape-design/components/box";
import ExpandableSection from "@cloudscape-design/components/expandable-section";
import Pagination from "@cloudscape-design/components/pagination";
import SpaceBetween from "@cloudscape-design/components/space-between";
import type { ForecastPartsFragment } from "../../api/generated";
import { LEGS } from "../../format/calendar";
import { local } from "../../format/time";
import { count, list } from "../../format/text";
import { LEG } from "../../format/words";
import { EmptyState } from "../../ui/EmptyState";
import { FlagBadges } from "../../ui/FlagBadges";
import { LegName } from "../../ui/LegName";
import { byDay, dayLabel, timeOfDay, totals } from "./runs";
import "./policies.css";

type Run = ForecastPartsFragment["runs"][number];

const RUNS_PER_PAGE = 6;

interface ForecastListProps {
  readonly runs: readonly Run[];
  readonly timeZone?: string;
}

/** The coming days: what each run will make and delete, and why; the first day is open. */
export function ForecastList({ runs, timeZone }: ForecastListProps) {
  const days = byDay(runs, timeZone);
  if (totals(runs).length === 0) {
    return <EmptyState title="Nothing happens by itself" text="No run is due in this time, or the policy covers no instance yet." />;
  }
  return (
    <SpaceBetween size="xs">
      {days.map(({ day, runs: found }, index) => (
        <ExpandableSection key={day} defaultExpanded={index === 0} variant="default" headerText={dayLabel(day)} headerDescription={summary(found)}>
          <Runs runs={found} timeZone={timeZone} />
        </ExpandableSection>
      ))}
      <Box color="text-body-secondary" fontSize="body-s">
        Times in {timeZone ?? "your time zone"}. It shows what happens when every run succeeds.
      </Box>
    </SpaceBetween>
  );
}

function summary(runs: readonly Run[]): string {
  const changes = totals(runs);
  const made = changes.filter((each) => each.made > 0).map((each) => count(each.made, LEG[each.leg].toLowerCase()));
  const removed = changes.filter((each) => each.removed > 0).map((each) => count(each.removed, LEG[each.leg].toLowerCase()));
  const parts = [made.length > 0 ? `makes ${list(made)}` : "makes nothing", removed.length > 0 ? `deletes ${list(removed)}` : "deletes nothing"];
  const started = runs.filter((run) => run.legs.length > 0).length;
  return `${started > 0 ? count(started, "run") : "Retention"}: ${parts.join(", ")}`;
}

function Runs({ runs, timeZone }: ForecastListProps) {
  const [page, setPage] = useState(1);
  const pages = Math.ceil(runs.length / RUNS_PER_PAGE);
  return (
    <SpaceBetween size="xs">
      <ol className="hf-forecast">
        {runs.slice((page - 1) * RUNS_PER_PAGE, page * RUNS_PER_PAGE).map((run) => (
          <ForecastRow key={`${run.at} ${run.regions.join(" ")}`} run={run} timeZone={timeZone} />
        ))}
      </ol>
      {pages > 1 && <Pagination currentPageIndex={page} pagesCount={pages} onChange={({ detail }) => setPage(detail.currentPageIndex)} />}
    </SpaceBetween>
  );
}

function ForecastRow({ run, timeZone }: { run: Run; timeZone: string | undefined }) {
  return (
    <li>
      <div>
        <Box fontWeight="bold">
          <time dateTime={run.at} title={local(run.at)}>
            {timeOfDay(run.at, timeZone)}
          </time>
        </Box>
        <Box color="text-body-secondary" fontSize="body-s">
          {run.legs.length > 0 ? run.regions.join(", ") : "Daily retention"}
        </Box>
      </div>
      <div>
        {run.legs.map((leg) => (
          <div key={leg.leg} className="hf-forecast-line">
            <LegName leg={leg.leg}>{`Makes ${count(leg.made, LEG[leg.leg].toLowerCase())}`}</LegName>
            <FlagBadges flags={leg.flags} />
            {leg.flags.length === 0 && <Box color="text-body-secondary">temporary</Box>}
          </div>
        ))}
        {run.removed.map((removal) => (
          <div key={`${removal.leg} ${removal.reason}`} className="hf-forecast-line">
            <LegName leg={removal.leg}>{`Deletes ${count(removal.count, LEG[removal.leg].toLowerCase())}`}</LegName>
            <Box color="text-body-secondary">{removal.reason}</Box>
          </div>
        ))}
        <Box color="text-body-secondary" fontSize="body-s">
          Then there {keptPhrase(run)}.
        </Box>
      </div>
    </li>
  );
}

function keptPhrase(run: Run): string {
  const kept = LEGS.flatMap((leg) => run.kept.filter((each) => each.leg === leg && each.count > 0)).map((each) =>
    count(each.count, LEG[each.leg].toLowerCase()),
  );
  return kept.length === 0 ? "is nothing" : `are ${list(kept)}`;
}
