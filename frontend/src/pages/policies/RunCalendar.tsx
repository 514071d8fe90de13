import Box from "@cloudscape-design/components/box";
import type { Leg } from "../../api/generated";
import { LEGS } from "../../format/calendar";
import { count } from "../../format/text";
import { LEG } from "../../format/words";
import { FlagBadges } from "../../ui/FlagBadges";
import { LegName } from "../../ui/LegName";
import { byDay, dayLabel, flagsOf, timeOfDay, type Run } from "./runs";
import "./policies.css";

const RUNS_SHOWN = 5;

interface RunCalendarProps {
  readonly runs: readonly Run[];
  /** The zone days and times are shown in; undefined: the reader's. */
  readonly timeZone?: string;
  readonly daysShown?: number;
}

/** The coming runs, day by day: when, what is made, and which flags its points get. */
export function RunCalendar({ runs, timeZone, daysShown = 10 }: RunCalendarProps) {
  const days = byDay(runs, timeZone).slice(0, daysShown);
  const legs = LEGS.filter((leg) => runs.some((run) => run.legs.some((each) => each.leg === leg)));
  return (
    <div className="hf-calendar-room">
      <ul className="hf-calendar" aria-label="Coming runs">
        {days.map(({ day, runs: found }) => (
          <li key={day}>
            <Box fontWeight="bold" fontSize="body-s">
              {dayLabel(day)}
            </Box>
            <ul>
              {found.slice(0, RUNS_SHOWN).map((run) => (
                <li key={run.at} className="hf-run" title={run.legs.map(({ leg }) => LEG[leg]).join(", ")}>
                  <span>{timeOfDay(run.at, timeZone)}</span>
                  <LegDots legs={run.legs.map(({ leg }) => leg)} />
                  <FlagBadges flags={flagsOf(run)} />
                </li>
              ))}
            </ul>
            {found.length > RUNS_SHOWN && (
              <Box color="text-body-secondary" fontSize="body-s">
                and {count(found.length - RUNS_SHOWN, "run")} more
              </Box>
            )}
          </li>
        ))}
      </ul>
      <Legend legs={legs} timeZone={timeZone} />
    </div>
  );
}

/** A dot for each leg; read out by name. */
function LegDots({ legs }: { legs: readonly Leg[] }) {
  return (
    <span className="hf-run-dots" role="img" aria-label={legs.map((leg) => LEG[leg]).join(", ")}>
      {legs.map((leg) => (
        <i key={leg} className="hf-run-dot" data-leg={leg} />
      ))}
    </span>
  );
}

function Legend({ legs, timeZone }: { legs: readonly Leg[]; timeZone: string | undefined }) {
  return (
    <Box margin={{ top: "xs" }} color="text-body-secondary">
      <div className="hf-legend-row">
        {legs.map((leg) => (
          <LegName key={leg} leg={leg} />
        ))}
        <span>Times in {timeZone ?? "your time zone"}</span>
      </div>
    </Box>
  );
}
