import { Fragment } from "react";
import { hourName } from "../../format/schedule";

interface HoursGridProps {
  readonly snapshotHours: readonly number[];
  readonly backupHours: readonly number[];
  /** Why backups cannot be chosen; null when they can. */
  readonly noBackups: string | null;
  readonly onChange: (snapshotHours: number[], backupHours: number[]) => void;
}

const HOURS = [...Array(24).keys()];

/** The hours of the day as two rows of switches. A backup needs a snapshot at its hour, so the two move together. */
export function HoursGrid({ snapshotHours, backupHours, noBackups, onChange }: HoursGridProps) {
  function toggleSnapshot(hour: number): void {
    if (snapshotHours.includes(hour)) onChange(without(snapshotHours, hour), without(backupHours, hour));
    else onChange(including(snapshotHours, hour), [...backupHours]);
  }
  function toggleBackup(hour: number): void {
    if (backupHours.includes(hour)) onChange([...snapshotHours], without(backupHours, hour));
    else onChange(including(snapshotHours, hour), including(backupHours, hour));
  }
  const rows = [
    { name: "Snapshot", chosen: snapshotHours, toggle: toggleSnapshot, disabled: false, style: "" },
    { name: "Backup", chosen: backupHours, toggle: toggleBackup, disabled: noBackups !== null, style: " hf-hour-backup" },
  ];
  return (
    <div className="hf-hours-scroll">
      <div className="hf-hours" role="group" aria-label="Hours of the day">
        <span />
        {HOURS.map((hour) => (
          <span key={hour} className="hf-hours-label" aria-hidden="true">
            {String(hour).padStart(2, "0")}
          </span>
        ))}
        {rows.map((row) => (
          <Fragment key={row.name}>
            <span className="hf-hours-name">{row.name}</span>
            {HOURS.map((hour) => (
              <button
                key={hour}
                type="button"
                className={`hf-hour${row.style}`}
                aria-pressed={row.chosen.includes(hour)}
                aria-label={`${row.name} at ${hourName(hour)}`}
                title={row.disabled ? (noBackups ?? undefined) : `${row.name} at ${hourName(hour)}`}
                disabled={row.disabled}
                onClick={() => row.toggle(hour)}
              />
            ))}
          </Fragment>
        ))}
      </div>
    </div>
  );
}

function without(hours: readonly number[], hour: number): number[] {
  return hours.filter((each) => each !== hour);
}

function including(hours: readonly number[], hour: number): number[] {
  return [...new Set([...hours, hour])].sort((left, right) => left - right);
}
