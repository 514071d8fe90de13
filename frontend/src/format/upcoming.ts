import { WEEKDAYS, type Schedule } from "./schedule";

export interface Run {
  readonly at: string;
  readonly backup: boolean;
}

const HOUR_MS = 3_600_000;
/** A schedule runs at least once a week; one week and a day is searched past the last find. */
const SEARCH_HOURS = 8 * 24;

/**
 * The next runs after `after`, by walking hour by hour and asking what the clock shows in the schedule's zone.
 *
 * Good for showing; the server decides when a run is due. Zones whose offset is not whole hours are met at their half and
 * quarter hours. An hour the zone skips in spring is not shown; one it repeats in autumn is shown once.
 */
export function upcomingRuns(schedule: Schedule, after: number, wanted: number): Run[] {
  const clock = new Intl.DateTimeFormat("en-GB", {
    timeZone: schedule.timezone,
    weekday: "long",
    hour: "2-digit",
    minute: "2-digit",
    day: "2-digit",
    hourCycle: "h23",
  });
  const found: Run[] = [];
  let last = "";
  let moment = Math.floor(after / (HOUR_MS / 4)) * (HOUR_MS / 4) + HOUR_MS / 4;
  for (let idle = 0; found.length < wanted && idle < SEARCH_HOURS * 4; idle += 1, moment += HOUR_MS / 4) {
    const parts = Object.fromEntries(clock.formatToParts(moment).map((part) => [part.type, part.value]));
    if (parts.minute !== "00") continue;
    const hour = Number(parts.hour);
    const day = WEEKDAYS.find((each) => each === parts.weekday?.toUpperCase());
    const slot = `${parts.day} ${parts.hour}`;
    if (!day || slot === last || !schedule.days.includes(day) || !schedule.snapshotHours.includes(hour)) continue;
    last = slot;
    idle = 0;
    found.push({ at: new Date(moment).toISOString(), backup: schedule.backupHours.includes(hour) });
  }
  return found;
}
