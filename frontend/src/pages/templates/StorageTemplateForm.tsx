import { useState } from "react";
import Container from "@cloudscape-design/components/container";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Toggle from "@cloudscape-design/components/toggle";
import {
  CreateStorageTemplateDocument,
  PolicyChoicesDocument,
  UpdateStorageTemplateDocument,
  type LocationInput,
  type LocationPartsFragment,
  type StorageTemplateRowFragment,
} from "../../api/generated";
import type { Problem } from "../../api/errors";
import { sentenceAt } from "../../api/fields";
import { useCommand, useData } from "../../api/useData";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { LocationForm, type LocationDraft } from "./LocationForm";
import { NameFields } from "./NameFields";
import type { TemplateForm } from "./SlaTemplateForm";

/** Writing a storage template: where backups and archives of SLA policies go. */
export function useStorageTemplateForm(existing: StorageTemplateRowFragment | null): TemplateForm<StorageTemplateRowFragment> {
  const [name, setName] = useState(existing?.name ?? "");
  const [description, setDescription] = useState(existing?.description ?? "");
  const [backup, setBackup] = useState<LocationDraft>(() => draftOf(existing?.backup));
  const [archives, setArchives] = useState((existing?.archive ?? null) !== null);
  const [archive, setArchive] = useState<LocationDraft>(() => draftOf(existing?.archive));
  const [tried, setTried] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const choices = useData(PolicyChoicesDocument, {});
  const create = useCommand(CreateStorageTemplateDocument);
  const update = useCommand(UpdateStorageTemplateDocument);

  const wrong = { ...unsendable("backup", backup), ...(archives ? unsendable("archive", archive) : {}) };
  const problems = { ...problem?.fields, ...(tried ? wrong : {}) };
  const error = (...paths: string[]): string | undefined => sentenceAt(problems, ...paths);

  async function save(): Promise<StorageTemplateRowFragment | null> {
    setTried(true);
    if (Object.keys(wrong).length > 0) return null;
    const template = { name: name.trim(), description: description.trim(), backup: inputOf(backup), archive: archives ? inputOf(archive) : null };
    if (existing) {
      const answer = await update.run({ input: { id: existing.id, revision: existing.revision, template } });
      setProblem(answer.problem);
      return answer.data?.updateStorageTemplate.storageTemplate ?? null;
    }
    const answer = await create.run({ input: { ...template, clientMutationId: create.key } });
    setProblem(answer.problem);
    return answer.data?.createStorageTemplate.storageTemplate ?? null;
  }

  const repositories = choices.data?.repositories.edges.map(({ node }) => node) ?? [];
  const fields = (
    <SpaceBetween size="l">
      {problem && <ProblemAlert header="The template was not saved" problem={problem} />}
      <Container header={<Header variant="h2">Name</Header>}>
        <NameFields name={name} description={description} example="Europe" error={error} onName={setName} onDescription={setDescription} />
      </Container>
      <Container header={<Header variant="h2">Backups</Header>}>
        <LocationForm
          path="backup"
          draft={backup}
          repositories={repositories.filter((each) => each.storageClass === "STANDARD")}
          error={error}
          onChange={setBackup}
        />
      </Container>
      <Container header={<Header variant="h2">Archives</Header>}>
        <SpaceBetween size="m">
          <FormField errorText={error("=archive")}>
            <Toggle
              checked={archives}
              description="Needed by SLA templates that promise archives. Backups and archives are both encrypted, or both not."
              onChange={({ detail }) => setArchives(detail.checked)}
            >
              A place for archives
            </Toggle>
          </FormField>
          {archives && (
            <LocationForm
              path="archive"
              draft={archive}
              repositories={repositories.filter((each) => each.storageClass !== "STANDARD")}
              error={error}
              onChange={setArchive}
            />
          )}
        </SpaceBetween>
      </Container>
    </SpaceBetween>
  );
  return { fields, save, busy: create.busy || update.busy };
}

function draftOf(location: LocationPartsFragment | null | undefined): LocationDraft {
  return {
    defaultId: location?.default.id ?? "",
    regions: location?.regions.map(({ region, repository }) => ({ region, repositoryId: repository.id })) ?? [],
  };
}

function inputOf(draft: LocationDraft): LocationInput {
  return { defaultId: draft.defaultId, regions: draft.regions };
}

function unsendable(path: string, draft: LocationDraft): Record<string, string> {
  const found: Record<string, string> = {};
  if (draft.defaultId === "") found[`${path}.defaultId`] = "Choose a repository.";
  if (draft.regions.some((each) => each.repositoryId === "" || each.region === "")) found[`${path}.regions`] = "Choose a Region and a repository in each row.";
  return found;
}
