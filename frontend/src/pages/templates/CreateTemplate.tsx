import type { SlaTemplateRowFragment, StorageTemplateRowFragment } from "../../api/generated";
import { Confirm } from "../../ui/Confirm";
import { useSlaTemplateForm, type TemplateForm } from "./SlaTemplateForm";
import { useStorageTemplateForm } from "./StorageTemplateForm";

interface CreateProps<Saved> {
  readonly onSaved: (template: Saved) => void;
  readonly onClose: () => void;
}

/** A new SLA template without leaving what one is doing. */
export function CreateSlaTemplate(props: CreateProps<SlaTemplateRowFragment>) {
  return <Dialog {...props} title="Create SLA template" form={useSlaTemplateForm(null)} />;
}

/** A new storage template without leaving what one is doing. */
export function CreateStorageTemplate(props: CreateProps<StorageTemplateRowFragment>) {
  return <Dialog {...props} title="Create storage template" form={useStorageTemplateForm(null)} />;
}

function Dialog<Saved>({ title, form, onSaved, onClose }: CreateProps<Saved> & { title: string; form: TemplateForm<Saved> }) {
  return (
    <Confirm
      title={title}
      size="large"
      action="Create"
      busy={form.busy}
      problem={null}
      onClose={onClose}
      onConfirm={() => void form.save().then((saved) => saved && onSaved(saved))}
    >
      {form.fields}
    </Confirm>
  );
}
