import Box from "@cloudscape-design/components/box";
import Checkbox from "@cloudscape-design/components/checkbox";
import Container from "@cloudscape-design/components/container";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import Multiselect from "@cloudscape-design/components/multiselect";
import RadioGroup from "@cloudscape-design/components/radio-group";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Textarea from "@cloudscape-design/components/textarea";
import Tiles from "@cloudscape-design/components/tiles";
import Toggle from "@cloudscape-design/components/toggle";
import ToggleButton from "@cloudscape-design/components/toggle-button";
import type { AccountRegionsQuery, Ordinal, PolicyChoicesQuery, Weekday } from "../../api/generated";
import type { Problem } from "../../api/errors";
import { dayName, ORDINALS, ordinalName, scheduleSentence, WEEKDAYS } from "../../format/schedule";
import { RouterLink } from "../../ui/RouterLink";
import { paths } from "../../app/paths";
import { HoursGrid } from "./HoursGrid";
import { inWords, scheduleOf, type PolicyDraft } from "./draft";
import { ScopePreview } from "./ScopePreview";
import type { Candidate, Ranked } from "./scope";
import { TagEditor } from "./TagEditor";

export interface StepProps {
  readonly draft: PolicyDraft;
  readonly choices: PolicyChoicesQuery;
  readonly regions: AccountRegionsQuery["regions"];
  readonly regionsLoading: boolean;
  readonly candidates: { items: readonly Candidate[]; total: number; loading: boolean; problem: Problem | null };
  readonly rank: Ranked | null;
  readonly names: ReadonlyMap<string, string>;
  readonly change: (part: Partial<PolicyDraft>) => void;
  /** What is wrong with a field: by our own check, else by the server's, which names it by one of the paths. */
  readonly error: (field: string, ...serverPaths: string[]) => string | undefined;
}

export function NameStep({ draft, change, error }: StepProps) {
  return (
    <Container header={<Header variant="h2">Name and priority</Header>}>
      <SpaceBetween size="l">
        <FormField label="Name" constraintText="Up to 127 characters." errorText={error("name", "name")}>
          <Input value={draft.name} placeholder="Production, daily" onChange={({ detail }) => change({ name: detail.value })} autoFocus />
        </FormField>
        <FormField label={<>Description <i>- optional</i></>} errorText={error("description", "description")}>
          <Textarea value={draft.description} rows={2} onChange={({ detail }) => change({ description: detail.value })} />
        </FormField>
        <FormField
          label={<>Priority <i>- optional</i></>}
          description="An instance that several policies cover is protected by one of them: the one with the smallest number."
          constraintText="Empty: after all other policies."
          errorText={error("priority", "priority")}
        >
          <Input type="number" inputMode="numeric" value={draft.priority} onChange={({ detail }) => change({ priority: detail.value })} />
        </FormField>
        <Checkbox
          checked={draft.enabled}
          onChange={({ detail }) => change({ enabled: detail.checked })}
          description="A disabled policy does not run by its schedule; it can still be edited."
        >
          Enabled
        </Checkbox>
      </SpaceBetween>
    </Container>
  );
}

export function ScopeStep(props: StepProps) {
  const { draft, choices, regions, regionsLoading, candidates, names, change, error } = props;
  const accounts = choices.accounts.edges.map(({ node }) => ({
    value: node.id,
    label: node.name,
    description: node.awsAccountId ?? undefined,
  }));
  const regionOptions = regions.map((region) => ({
    value: region.name,
    label: region.name,
    description: region.title,
    labelTag: region.resourceCount > 0 ? `${region.resourceCount} found` : undefined,
  }));
  const resourceOptions = candidates.items
    .filter((resource) => draft.regions.includes(resource.region))
    .map((resource) => ({ value: resource.id, label: resource.name, description: `${resource.awsId} in ${resource.region}` }));
  const chosen = (ids: readonly string[]) => ids.map((id) => ({ value: id, label: names.get(id) ?? "No longer known" }));
  return (
    <SpaceBetween size="l">
      <Container header={<Header variant="h2">Where</Header>}>
        <SpaceBetween size="l">
          <FormField label="AWS account" errorText={error("accountId", "scope.accountId")}>
            <Select
              selectedOption={accounts.find((account) => account.value === draft.accountId) ?? null}
              options={accounts}
              placeholder="Choose an account"
              onChange={({ detail }) =>
                change({ accountId: detail.selectedOption.value ?? "", regions: [], resourceIds: [], excludedResourceIds: [] })
              }
            />
          </FormField>
          <FormField label="Regions" errorText={error("regions", "scope.regions")}>
            <Multiselect
              selectedOptions={draft.regions.map((name) => regionOptions.find((option) => option.value === name) ?? { value: name, label: name })}
              options={regionOptions}
              placeholder="Choose Regions"
              filteringType="auto"
              statusType={regionsLoading && draft.accountId !== "" ? "loading" : "finished"}
              onChange={({ detail }) => change({ regions: detail.selectedOptions.map((option) => option.value ?? "") })}
            />
          </FormField>
        </SpaceBetween>
      </Container>
      <Container header={<Header variant="h2">Which instances</Header>}>
        <SpaceBetween size="l">
          <Tiles
            ariaLabel="Which instances"
            value={draft.all ? "all" : "listed"}
            onChange={({ detail }) => change({ all: detail.value === "all" })}
            items={[
              { value: "all", label: "All instances", description: "Also those that are created later." },
              { value: "listed", label: "Some instances", description: "Named one by one, or found by a tag." },
            ]}
          />
          {!draft.all && (
            <>
              <FormField label="Instances" errorText={error("resourceIds", "scope.resourceIds")}>
                <Multiselect
                  selectedOptions={chosen(draft.resourceIds)}
                  options={resourceOptions}
                  placeholder="Choose instances"
                  filteringType="auto"
                  statusType={candidates.loading ? "loading" : "finished"}
                  empty="No instance is known in the chosen Regions."
                  onChange={({ detail }) => change({ resourceIds: detail.selectedOptions.map((option) => option.value ?? "") })}
                />
              </FormField>
              <FormField label="Tags" description="Every instance that has one of these, also later ones." errorText={error("tags", "scope.tags")}>
                <TagEditor tags={draft.tags} candidates={candidates.items} empty="No tag selects instances." onChange={(tags) => change({ tags })} />
              </FormField>
            </>
          )}
          <FormField
            label={<>Exclude instances <i>- optional</i></>}
            description="Never protected by this policy, whatever else selects them."
            errorText={error("excludedResourceIds", "scope.excludedResourceIds")}
          >
            <Multiselect
              selectedOptions={chosen(draft.excludedResourceIds)}
              options={resourceOptions}
              placeholder="Choose instances"
              filteringType="auto"
              empty="No instance is known in the chosen Regions."
              onChange={({ detail }) => change({ excludedResourceIds: detail.selectedOptions.map((option) => option.value ?? "") })}
            />
          </FormField>
          <FormField label={<>Exclude by tag <i>- optional</i></>} errorText={error("excludedTags", "scope.excludedTags")}>
            <TagEditor
              tags={draft.excludedTags}
              candidates={candidates.items}
              empty="No tag excludes instances."
              onChange={(excludedTags) => change({ excludedTags })}
            />
          </FormField>
        </SpaceBetween>
      </Container>
      <ScopePreview draft={draft} candidates={candidates} rank={props.rank} />
    </SpaceBetween>
  );
}

export function ScheduleStep({ draft, choices, change, error }: StepProps) {
  // Archives are made from backups: a policy backs up into a repository that can be read at once.
  const standard = choices.repositories.edges.filter(({ node }) => node.storageClass === "STANDARD");
  const repositories = standard.map(({ node }) => ({
    value: node.id,
    label: node.name,
    description: node.url,
    disabled: node.state !== "AVAILABLE",
  }));
  const none = { value: "", label: "None: snapshots only" };
  return (
    <SpaceBetween size="l">
      <Container header={<Header variant="h2">Backups</Header>}>
        <FormField
          label="Repository"
          description="Snapshots stay in the AWS account. A backup is an encrypted copy of its own in a repository, and outlives the account's snapshots."
          constraintText={
            repositories.length === 0 && (
              <>
                There is no repository yet. <RouterLink to={paths.newRepository} fontSize="body-s">Add one</RouterLink> to make backups.
              </>
            )
          }
          errorText={error("repositoryId", "repositoryId")}
        >
          <Select
            selectedOption={repositories.find((option) => option.value === draft.repositoryId) ?? none}
            options={[none, ...repositories]}
            onChange={({ detail }) => {
              const repositoryId = detail.selectedOption.value ?? "";
              // Who chooses a repository wants backups: begin with one at every snapshot hour.
              const backupHours = repositoryId === "" ? [] : draft.backupHours.length > 0 ? draft.backupHours : draft.snapshotHours;
              change({ repositoryId, backupHours });
            }}
          />
        </FormField>
      </Container>
      <Container header={<Header variant="h2">Schedule</Header>}>
        <SpaceBetween size="l">
          <RadioGroup
            ariaLabel="Schedule"
            value={draft.scheduled ? "daily" : "hand"}
            onChange={({ detail }) => change({ scheduled: detail.value === "daily" })}
            items={[
              { value: "daily", label: "Run by schedule" },
              { value: "hand", label: "Run only when started by hand" },
            ]}
          />
          {draft.scheduled && (
            <>
              <FormField
                stretch
                label="Hours"
                description="A snapshot takes seconds; a backup reads what changed since the last one."
                errorText={error("snapshotHours", "snapshotHours", "backupHours")}
              >
                <HoursGrid
                  snapshotHours={draft.snapshotHours}
                  backupHours={draft.backupHours}
                  noBackups={draft.repositoryId === "" ? "Choose a repository to make backups" : null}
                  onChange={(snapshotHours, backupHours) => change({ snapshotHours, backupHours })}
                />
              </FormField>
              <FormField label="Days" errorText={error("days", "schedule.days")}>
                <SpaceBetween direction="horizontal" size="xs">
                  {WEEKDAYS.map((day) => (
                    <ToggleButton
                      key={day}
                      pressed={draft.days.includes(day)}
                      ariaLabel={dayName(day)}
                      onChange={({ detail }) =>
                        change({ days: WEEKDAYS.filter((each) => (each === day ? detail.pressed : draft.days.includes(each))) })
                      }
                    >
                      {dayName(day, true)}
                    </ToggleButton>
                  ))}
                </SpaceBetween>
              </FormField>
              <FormField label="Time zone" errorText={error("timezone", "timezone")}>
                <Select
                  selectedOption={{ value: draft.timezone, label: draft.timezone }}
                  options={choices.timezones.map((value) => ({ value, label: value }))}
                  filteringType="auto"
                  virtualScroll
                  onChange={({ detail }) => change({ timezone: detail.selectedOption.value ?? "UTC" })}
                />
              </FormField>
            </>
          )}
          <Box color="text-body-secondary">{scheduleSentence(scheduleOf(draft))}</Box>
        </SpaceBetween>
      </Container>
      {draft.repositoryId !== "" && <Checks draft={draft} change={change} error={error} />}
    </SpaceBetween>
  );
}

/** What is done so that a backup is known to be good before it is needed. */
function Checks({ draft, change, error }: Pick<StepProps, "draft" | "change" | "error">) {
  return (
    <Container header={<Header variant="h2">Checks of the backups</Header>}>
      <SpaceBetween size="l">
        <FormField errorText={error("verify", "verify")}>
          <Toggle
            checked={draft.verify}
            description="Each new backup is read again right away and compared with the volumes it was made from. Takes more time and requests."
            onChange={({ detail }) => change({ verify: detail.checked })}
          >
            Verify backups
          </Toggle>
        </FormField>
        <Toggle
          checked={draft.healthChecked}
          description="Once a month all backups are looked at, and a twelfth of their data is read. What is damaged is shown, and healed by the next backup."
          onChange={({ detail }) => change({ healthChecked: detail.checked })}
        >
          Check health
        </Toggle>
        {draft.healthChecked && (
          <FormField
            label="Day of the health check"
            constraintText="It starts after the policy's first run of that day."
            errorText={error("healthCheck", "healthCheck")}
          >
            <SpaceBetween direction="horizontal" size="xs">
              <Select
                ariaLabel="Which week of the month"
                selectedOption={{ value: draft.ordinal, label: ordinalName(draft.ordinal) }}
                options={ORDINALS.map((value) => ({ value, label: ordinalName(value) }))}
                onChange={({ detail }) => change({ ordinal: detail.selectedOption.value as Ordinal })}
              />
              <Select
                ariaLabel="Weekday"
                selectedOption={{ value: draft.weekday, label: dayName(draft.weekday) }}
                options={WEEKDAYS.map((value) => ({ value, label: dayName(value) }))}
                onChange={({ detail }) => change({ weekday: detail.selectedOption.value as Weekday })}
              />
              <Box padding={{ top: "xxs" }}>of each month</Box>
            </SpaceBetween>
          </FormField>
        )}
      </SpaceBetween>
    </Container>
  );
}

export function RetentionStep({ draft, change, error }: StepProps) {
  return (
    <SpaceBetween size="l">
      <Container header={<Header variant="h2">How long restore points are kept</Header>}>
        <SpaceBetween size="l">
          <FormField
            label="Snapshots"
            description="The newest ones of each instance are kept; older ones are deleted after each run."
            errorText={error("snapshots", "retention.snapshots")}
          >
            <Input type="number" inputMode="numeric" value={draft.snapshots} onChange={({ detail }) => change({ snapshots: detail.value })} />
          </FormField>
          <FormField
            label="Days to keep backups"
            description={draft.repositoryId === "" ? "Without a repository no backup is made." : "Each backup is whole: removing an old one never harms a newer one."}
            errorText={error("backupDays", "retention.backupDays")}
          >
            <Input
              type="number"
              inputMode="numeric"
              value={draft.backupDays}
              disabled={draft.repositoryId === ""}
              onChange={({ detail }) => change({ backupDays: detail.value })}
            />
          </FormField>
        </SpaceBetween>
      </Container>
      <Container header={<Header variant="h2">More</Header>}>
        <SpaceBetween size="l">
          <FormField
            label="Tries after a failure"
            description="How often an instance that fails is tried again within a run."
            errorText={error("retryAttempts", "retryAttempts", "retries")}
          >
            <Input
              type="number"
              inputMode="numeric"
              value={draft.retryAttempts}
              onChange={({ detail }) => change({ retryAttempts: detail.value })}
            />
          </FormField>
          <Checkbox checked={draft.copyTags} onChange={({ detail }) => change({ copyTags: detail.checked })}>
            Copy the volumes&rsquo; tags to their snapshots
          </Checkbox>
        </SpaceBetween>
      </Container>
    </SpaceBetween>
  );
}

export function ReviewStep(props: StepProps) {
  const { draft, choices, candidates, names } = props;
  const repository = choices.repositories.edges.find(({ node }) => node.id === draft.repositoryId)?.node.name ?? null;
  return (
    <SpaceBetween size="l">
      <Container header={<Header variant="h2">{draft.name.trim() || "The policy"} in plain words</Header>}>
        <ul className="hf-sentences">
          {inWords(draft, { resources: names, repository }).map((sentence) => (
            <li key={sentence}>{sentence}</li>
          ))}
        </ul>
      </Container>
      <ScopePreview draft={draft} candidates={candidates} rank={props.rank} coveredOnly />
    </SpaceBetween>
  );
}
