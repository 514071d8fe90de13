import Container from "@cloudscape-design/components/container";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { paths } from "../../../app/paths";
import { STORAGE_CLASS } from "../../../format/words";
import { RouterLink } from "../../../ui/RouterLink";
import { sentTo, toggled } from "./scheduleDraft";
import { ReplicaTargets } from "./ReplicaTargets";
import type { StepProps } from "./stepProps";

export function TargetsStep(props: StepProps) {
  const { draft, choices, change, error } = props;
  const repositories = choices.repositories.edges.map(({ node }) => node);
  const option = (node: (typeof repositories)[number]) => ({
    value: node.id,
    label: node.name,
    description: node.url,
    disabled: node.state !== "AVAILABLE",
    labelTag: node.storageClass === "STANDARD" ? undefined : STORAGE_CLASS[node.storageClass],
  });
  const standard = repositories.filter((node) => node.storageClass === "STANDARD").map(option);
  const archives = repositories.filter((node) => node.storageClass !== "STANDARD").map(option);
  const noBackups = { value: "", label: "None: snapshots only" };
  const noArchive = { value: "", label: "None" };

  function chooseRepository(repositoryId: string): void {
    // Who chooses a repository wants backups: begin with one at each of the daily snapshots.
    const { DAILY: daily } = draft.schedule.parts;
    const first = draft.repositoryId === "" && repositoryId !== "" && daily.rules.BACKUP.slots.length === 0;
    const part = first ? daily.rules.SNAPSHOT.slots.reduce((now, slot) => toggled(now, "BACKUP", slot), daily) : daily;
    change({
      repositoryId,
      archiveRepositoryId: repositoryId === "" ? "" : draft.archiveRepositoryId,
      schedule: { ...draft.schedule, parts: { ...draft.schedule.parts, DAILY: part } },
    });
  }

  function chooseArchive(archiveRepositoryId: string): void {
    // Without an archive, what was to go there goes into backups.
    const { MONTHLY: monthly, YEARLY: yearly } = draft.schedule.parts;
    const parts = archiveRepositoryId === "" ? { MONTHLY: sentTo(monthly, false), YEARLY: sentTo(yearly, false) } : {};
    change({ archiveRepositoryId, schedule: { ...draft.schedule, parts: { ...draft.schedule.parts, ...parts } } });
  }

  return (
    <SpaceBetween size="l">
      <Container header={<Header variant="h2">Backups and archives</Header>}>
        <SpaceBetween size="l">
          <FormField
            label="Repository"
            description="Snapshots stay in the AWS account. A backup is a copy of its own in a repository, and outlives the account's snapshots."
            constraintText={
              standard.length === 0 && (
                <>
                  There is no repository yet.{" "}
                  <RouterLink to={paths.newRepository} fontSize="body-s">
                    Add one
                  </RouterLink>{" "}
                  to make backups.
                </>
              )
            }
            errorText={error("repositoryId")}
          >
            <Select
              selectedOption={standard.find((each) => each.value === draft.repositoryId) ?? noBackups}
              options={[noBackups, ...standard]}
              onChange={({ detail }) => chooseRepository(detail.selectedOption.value ?? "")}
            />
          </FormField>
          <FormField
            label="Archive repository"
            description="For what is kept for months and years, and hardly ever read. Getting it back takes hours."
            constraintText={
              draft.repositoryId === ""
                ? "Archives are made from backups: choose a repository first."
                : archives.length === 0
                  ? "There is no repository in a Glacier storage class yet."
                  : undefined
            }
            errorText={error("archiveRepositoryId")}
          >
            <Select
              selectedOption={archives.find((each) => each.value === draft.archiveRepositoryId) ?? noArchive}
              options={[noArchive, ...archives]}
              disabled={draft.repositoryId === ""}
              onChange={({ detail }) => chooseArchive(detail.selectedOption.value ?? "")}
            />
          </FormField>
        </SpaceBetween>
      </Container>
      <ReplicaTargets {...props} />
    </SpaceBetween>
  );
}
