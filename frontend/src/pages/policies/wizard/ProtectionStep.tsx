import { useState } from "react";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { SlaTemplatesDocument, StorageTemplatesDocument, type LocationPartsFragment } from "../../../api/generated";
import { useData } from "../../../api/useData";
import { list } from "../../../format/text";
import { CreateSlaTemplate, CreateStorageTemplate } from "../../templates/CreateTemplate";
import { termsSentences } from "../../templates/termsWords";
import { ReplicaTargets } from "./ReplicaTargets";
import { SchedulePreview } from "./SchedulePreview";
import type { StepProps } from "./stepProps";
import "../policies.css";

const OFFERED = 100;

/** What an SLA policy promises and where it stores it, each as a template that can be made on the spot. */
export function ProtectionStep(props: StepProps) {
  const { draft, change, error, answer } = props;
  const [creating, setCreating] = useState<"sla" | "storage" | null>(null);
  const slaAnswer = useData(SlaTemplatesDocument, { first: OFFERED, order: [{ field: "NAME" }] });
  const storageAnswer = useData(StorageTemplatesDocument, { first: OFFERED, order: [{ field: "NAME" }] });
  const slas = slaAnswer.data?.slaTemplates.edges.map(({ node }) => node) ?? [];
  const storages = storageAnswer.data?.storageTemplates.edges.map(({ node }) => node) ?? [];
  const sla = slas.find((each) => each.id === draft.slaTemplateId);
  const storage = storages.find((each) => each.id === draft.storageTemplateId);
  const none = { value: "", label: "None: snapshots only" };
  const option = (each: { id: string; name: string; description: string }) => ({ value: each.id, label: each.name, description: each.description || undefined });
  return (
    <div className="hf-beside-room">
      <div className="hf-beside">
        <SpaceBetween size="l">
          <Container
            header={
              <Header variant="h2" actions={<Button onClick={() => setCreating("sla")}>Create SLA template</Button>}>
                What is promised
              </Header>
            }
          >
            <SpaceBetween size="m">
              <FormField label="SLA template" errorText={error("slaTemplateId")}>
                <Select
                  selectedOption={sla ? option(sla) : null}
                  options={slas.map(option)}
                  placeholder="Choose a template"
                  empty="There is none yet: create the first one."
                  statusType={slaAnswer.loading ? "loading" : "finished"}
                  onChange={({ detail }) => change({ slaTemplateId: detail.selectedOption.value ?? "" })}
                />
              </FormField>
              {sla && (
                <ul className="hf-sentences">
                  {termsSentences(sla.terms).map((sentence) => (
                    <li key={sentence}>{sentence}</li>
                  ))}
                </ul>
              )}
            </SpaceBetween>
          </Container>
          <Container
            header={
              <Header variant="h2" actions={<Button onClick={() => setCreating("storage")}>Create storage template</Button>}>
                Where it is stored
              </Header>
            }
          >
            <SpaceBetween size="m">
              <FormField label="Storage template" errorText={error("storageTemplateId")}>
                <Select
                  selectedOption={storage ? option(storage) : none}
                  options={[none, ...storages.map(option)]}
                  statusType={storageAnswer.loading ? "loading" : "finished"}
                  onChange={({ detail }) => change({ storageTemplateId: detail.selectedOption.value ?? "" })}
                />
              </FormField>
              {storage && (
                <Box color="text-body-secondary">
                  Backups: {placePhrase(storage.backup)}. {storage.archive ? `Archives: ${placePhrase(storage.archive)}.` : "No place for archives."}
                </Box>
              )}
            </SpaceBetween>
          </Container>
          <ReplicaTargets {...props} />
        </SpaceBetween>
        <div>
          <SchedulePreview answer={answer} />
        </div>
      </div>
      {creating === "sla" && (
        <CreateSlaTemplate
          onClose={() => setCreating(null)}
          onSaved={(template) => {
            slaAnswer.refresh();
            change({ slaTemplateId: template.id });
            setCreating(null);
          }}
        />
      )}
      {creating === "storage" && (
        <CreateStorageTemplate
          onClose={() => setCreating(null)}
          onSaved={(template) => {
            storageAnswer.refresh();
            change({ storageTemplateId: template.id });
            setCreating(null);
          }}
        />
      )}
    </div>
  );
}

/** `main; in eu-central-1 frankfurt`. */
function placePhrase(location: LocationPartsFragment): string {
  const others = location.regions.map(({ region, repository }) => `in ${region} ${repository.name}`);
  return others.length === 0 ? location.default.name : `${location.default.name}; ${list(others)}`;
}
