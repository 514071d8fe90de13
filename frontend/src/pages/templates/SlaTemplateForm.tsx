import { useState, type ReactNode } from "react";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { CreateSlaTemplateDocument, UpdateSlaTemplateDocument, type SlaTemplateRowFragment } from "../../api/generated";
import type { Problem } from "../../api/errors";
import { sentenceAt } from "../../api/fields";
import { useCommand } from "../../api/useData";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { NameFields } from "./NameFields";
import { TermsForm } from "./TermsForm";
import { newTerms, termsDraftOf, termsInputOf, unsendableTerms, type TermsDraft } from "./termsDraft";

/** A form in a page or a dialog: what to show, and what saves it. */
export interface TemplateForm<Saved> {
  readonly fields: ReactNode;
  readonly busy: boolean;
  /** Saves, or shows what is wrong and gives null. */
  readonly save: () => Promise<Saved | null>;
}

/** Writing an SLA template: a new one, or another version of `existing`. */
export function useSlaTemplateForm(existing: SlaTemplateRowFragment | null): TemplateForm<SlaTemplateRowFragment> {
  const [name, setName] = useState(existing?.name ?? "");
  const [description, setDescription] = useState(existing?.description ?? "");
  const [terms, setTerms] = useState<TermsDraft>(() => (existing ? termsDraftOf(existing.terms) : newTerms()));
  const [tried, setTried] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const create = useCommand(CreateSlaTemplateDocument);
  const update = useCommand(UpdateSlaTemplateDocument);
  const wrong = unsendableTerms(terms);
  const problems = { ...problem?.fields, ...(tried ? wrong : {}) };
  const error = (...paths: string[]): string | undefined => sentenceAt(problems, ...paths);

  async function save(): Promise<SlaTemplateRowFragment | null> {
    setTried(true);
    if (Object.keys(wrong).length > 0) return null;
    const template = { name: name.trim(), description: description.trim(), terms: termsInputOf(terms) };
    if (existing) {
      const answer = await update.run({ input: { id: existing.id, revision: existing.revision, template } });
      setProblem(answer.problem);
      return answer.data?.updateSlaTemplate.slaTemplate ?? null;
    }
    const answer = await create.run({ input: { ...template, clientMutationId: create.key } });
    setProblem(answer.problem);
    return answer.data?.createSlaTemplate.slaTemplate ?? null;
  }

  const fields = (
    <SpaceBetween size="l">
      {problem && <ProblemAlert header="The template was not saved" problem={problem} />}
      <Container header={<Header variant="h2">Name</Header>}>
        <NameFields name={name} description={description} example="Gold" error={error} onName={setName} onDescription={setDescription} />
      </Container>
      <TermsForm draft={terms} error={error} change={(part) => setTerms((now) => ({ ...now, ...part }))} />
    </SpaceBetween>
  );
  return { fields, save, busy: create.busy || update.busy };
}
