import Button from "@cloudscape-design/components/button";
import Form from "@cloudscape-design/components/form";
import Header from "@cloudscape-design/components/header";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { useNavigate, useParams } from "react-router";
import { SlaTemplateDetailDocument, StorageTemplateDetailDocument, type SlaTemplateRowFragment, type StorageTemplateRowFragment } from "../../api/generated";
import { useData, type Answer } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { Waiting } from "../../ui/Waiting";
import NotFound from "../NotFound";
import { useSlaTemplateForm, type TemplateForm } from "./SlaTemplateForm";
import { useStorageTemplateForm } from "./StorageTemplateForm";

/** Creating or changing an SLA template on a page of its own. */
export function EditSlaTemplate() {
  const { id } = useParams();
  const answer = useData(SlaTemplateDetailDocument, { id: id ?? "" }, { pause: id === undefined });
  const node = answer.data?.node;
  const template = node?.__typename === "SlaTemplate" ? node : null;
  if (id === undefined) return <SlaForm template={null} />;
  if (answer.data && !template) return <NotFound what="template" />;
  return template ? <SlaForm key={template.id} template={template} /> : <Pending answer={answer} />;
}

/** Creating or changing a storage template on a page of its own. */
export function EditStorageTemplate() {
  const { id } = useParams();
  const answer = useData(StorageTemplateDetailDocument, { id: id ?? "" }, { pause: id === undefined });
  const node = answer.data?.node;
  const template = node?.__typename === "StorageTemplate" ? node : null;
  if (id === undefined) return <StorageForm template={null} />;
  if (answer.data && !template) return <NotFound what="template" />;
  return template ? <StorageForm key={template.id} template={template} /> : <Pending answer={answer} />;
}

function SlaForm({ template }: { template: SlaTemplateRowFragment | null }) {
  const form = useSlaTemplateForm(template);
  const used = template?.policies.length ?? 0;
  return (
    <FormPage
      form={form}
      name={template?.name ?? null}
      what="SLA template"
      list={paths.templates}
      at={paths.slaTemplate}
      note={
        template
          ? `Other terms become version ${template.version + 1}${used > 0 ? ", for all policies that use it" : ""}. Compliance can be shown by the old terms and by the new ones.`
          : "How often restore points are promised, in which window, and how long they are kept."
      }
    />
  );
}

function StorageForm({ template }: { template: StorageTemplateRowFragment | null }) {
  const form = useStorageTemplateForm(template);
  return (
    <FormPage
      form={form}
      name={template?.name ?? null}
      what="storage template"
      list={`${paths.templates}?tab=storage`}
      at={paths.storageTemplate}
      note={
        template
          ? "Another repository begins with a full backup; what is in the old one stays there as long as it was promised."
          : "The repositories that backups and archives of SLA policies go to."
      }
    />
  );
}

interface FormPageProps {
  readonly form: TemplateForm<{ id: string; name: string }>;
  readonly name: string | null;
  readonly what: string;
  readonly list: string;
  readonly at: (id: string) => string;
  readonly note: string;
}

function FormPage({ form, name, what, list, at, note }: FormPageProps) {
  const navigate = useNavigate();
  const notifications = useNotifications();
  const title = name ? `Edit ${name}` : `Create ${what}`;
  async function save(): Promise<void> {
    const saved = await form.save();
    if (!saved) return;
    notifications.success(`Template ${saved.name} is ${name ? "saved" : "created"}.`);
    void navigate(at(saved.id));
  }
  return (
    <Page title={title} above={[{ text: "Templates", href: list }]} contentType="form">
      <form
        aria-label={title}
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <Form
          header={
            <Header variant="h1" description={note}>
              {title}
            </Header>
          }
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <Button variant="link" formAction="none" onClick={() => void navigate(list)}>
                Cancel
              </Button>
              <Button variant="primary" loading={form.busy}>
                {name ? "Save changes" : "Create template"}
              </Button>
            </SpaceBetween>
          }
        >
          {form.fields}
        </Form>
      </form>
    </Page>
  );
}

function Pending({ answer }: { answer: Answer<unknown> }) {
  return (
    <Page title="Edit template" above={[{ text: "Templates", href: paths.templates }]} contentType="form">
      {answer.problem ? <ProblemAlert problem={answer.problem} onRetry={answer.refresh} /> : <Waiting />}
    </Page>
  );
}
