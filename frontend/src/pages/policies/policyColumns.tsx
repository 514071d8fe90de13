import Box from "@cloudscape-design/components/box";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import type { ComplianceEntryPartsFragment, PolicyRowFragment, SchedulePartsFragment } from "../../api/generated";
import { paths } from "../../app/paths";
import { FREQUENCIES } from "../../format/calendar";
import type { Column } from "../../listing/ListTable";
import { FlagBadges } from "../../ui/FlagBadges";
import { StateIndicator } from "../../ui/indicators";
import { RouterLink } from "../../ui/RouterLink";
import { When } from "../../ui/When";
import { ComplianceState } from "./ComplianceState";

type Entries = readonly ComplianceEntryPartsFragment[];

/** A row of either list; what was kept of the promise is asked for SLA policies only. */
export type SlaPolicy = PolicyRowFragment & {
  readonly snapshots?: Entries;
  readonly replicas?: Entries;
  readonly backups?: Entries;
  readonly archives?: Entries;
};

const name: Column<SlaPolicy> = {
  id: "name",
  header: "Name",
  sortingField: "NAME",
  isRowHeader: true,
  minWidth: 170,
  cell: (policy) => (
    <div>
      <RouterLink to={paths.policy(policy.id)}>{policy.name}</RouterLink>
      {policy.description && (
        <Box color="text-body-secondary" fontSize="body-s">
          {policy.description}
        </Box>
      )}
      <div>
        <EnabledIndicator enabled={policy.enabled} />
      </div>
    </div>
  ),
};

const priority: Column<SlaPolicy> = { id: "priority", header: "No.", sortingField: "PRIORITY", cell: (policy) => policy.priority };

const resources: Column<SlaPolicy> = {
  id: "resources",
  header: "Instances",
  cell: (policy) => (
    <div>
      {policy.resourceCount.toLocaleString("en-US")}
      <Box color="text-body-secondary" fontSize="body-s">
        <span className="hf-nowrap">{policy.scope.regions.length > 1 ? `${policy.scope.regions.length} Regions` : policy.scope.regions[0]}</span>
      </Box>
    </div>
  ),
};

const last: Column<SlaPolicy> = {
  id: "last",
  header: "Last run",
  minWidth: 115,
  cell: (policy) =>
    policy.lastSession ? (
      <div>
        <RouterLink to={paths.session(policy.lastSession.id)}>
          <StateIndicator state={policy.lastSession.state} />
        </RouterLink>
        <Box color="text-body-secondary" fontSize="body-s">
          <When at={policy.lastSession.endedAt ?? policy.lastSession.createdAt} ago />
        </Box>
      </div>
    ) : (
      <Box color="text-body-secondary">Never</Box>
    ),
};

export const scheduleColumns: readonly Column<SlaPolicy>[] = [
  priority,
  name,
  resources,
  { id: "schedule", header: "Schedule", minWidth: 110, cell: (policy) => <ScheduleFlags schedule={policy.schedule} /> },
  {
    id: "repository",
    header: "Repository",
    cell: (policy) =>
      policy.repository ? (
        <div>
          {policy.repository.name}
          {policy.archiveRepository && (
            <Box color="text-body-secondary" fontSize="body-s">
              then {policy.archiveRepository.name}
            </Box>
          )}
        </div>
      ) : (
        <Box color="text-body-secondary">Snapshots only</Box>
      ),
  },
  { id: "next", header: "Next run", cell: (policy) => <When at={policy.nextRunAt} ago none={policy.enabled ? "By hand" : "–"} /> },
  last,
];

const sla = (id: "snapshots" | "replicas" | "backups" | "archives", header: string): Column<SlaPolicy> => ({
  id,
  header,
  cell: (policy) => <ComplianceState entry={newest(policy[id])} />,
});

export const slaColumns: readonly Column<SlaPolicy>[] = [
  priority,
  { ...name, cell: (policy) => <NameAndTemplate policy={policy} /> },
  resources,
  sla("snapshots", "Snapshot"),
  sla("replicas", "Replica"),
  sla("backups", "Backup"),
  sla("archives", "Archive"),
  last,
];

function NameAndTemplate({ policy }: { policy: SlaPolicy }) {
  return (
    <div>
      <RouterLink to={paths.policy(policy.id)}>{policy.name}</RouterLink>
      <Box color="text-body-secondary" fontSize="body-s">
        {policy.slaTemplate ? `As promised by ${policy.slaTemplate.name}` : policy.description}
      </Box>
      <EnabledIndicator enabled={policy.enabled} />
    </div>
  );
}

/** The newest period that was judged; until one is, the newest there is. */
function newest(entries: Entries | undefined): ComplianceEntryPartsFragment | null {
  const sorted = [...(entries ?? [])].sort((left, right) => right.start.localeCompare(left.start));
  return sorted.find((entry) => entry.state === "MET" || entry.state === "MISSED") ?? sorted[0] ?? null;
}

export function EnabledIndicator({ enabled }: { enabled: boolean }) {
  return (
    <StatusIndicator wrapText={false} type={enabled ? "success" : "stopped"}>
      {enabled ? "Enabled" : "Disabled"}
    </StatusIndicator>
  );
}

/** Which of the four schedules are on. */
function ScheduleFlags({ schedule }: { schedule: SchedulePartsFragment | null }) {
  const on = FREQUENCIES.filter((frequency) => {
    const part = schedule && { DAILY: schedule.daily, WEEKLY: schedule.weekly, MONTHLY: schedule.monthly, YEARLY: schedule.yearly }[frequency];
    return part?.enabled ?? false;
  });
  return on.length > 0 ? <FlagBadges flags={on} /> : <Box color="text-body-secondary">By hand</Box>;
}
