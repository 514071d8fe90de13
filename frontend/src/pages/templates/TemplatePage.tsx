import Container from "@cloudscape-design/components/container";
import ExpandableSection from "@cloudscape-design/components/expandable-section";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Table from "@cloudscape-design/components/table";
import { useNavigate, useParams } from "react-router";
import {
  SlaTemplateDetailDocument,
  StorageTemplateDetailDocument,
  type LocationPartsFragment,
  type SlaTemplateDetailQuery,
  type TermsPartsFragment,
} from "../../api/generated";
import { useData } from "../../api/useData";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { RouterButton, RouterLink } from "../../ui/RouterLink";
import { Waiting } from "../../ui/Waiting";
import { local } from "../../format/time";
import { When } from "../../ui/When";
import NotFound from "../NotFound";
import { TemplateActions } from "./TemplateActions";
import { UsedBy } from "./templateParts";
import { termsSentences } from "./termsWords";

type Sla = Extract<NonNullable<SlaTemplateDetailQuery["node"]>, { __typename: "SlaTemplate" }>;

/** An SLA template: what it promises now, and what it promised before. */
export function SlaTemplatePage() {
  const { id = "" } = useParams();
  const answer = useData(SlaTemplateDetailDocument, { id }, { live: ["policy", "sla_template"] });
  const navigate = useNavigate();
  const node = answer.data?.node;
  const template = node?.__typename === "SlaTemplate" ? node : null;
  if (answer.problem?.code === "NOT_FOUND" || (answer.data && !template)) return <NotFound what="template" />;
  return (
    <Page title={template?.name ?? "SLA template"} above={[{ text: "Templates", href: paths.templates }]}>
      {answer.problem && <ProblemAlert header="The template cannot be shown" problem={answer.problem} onRetry={answer.refresh} />}
      {answer.loading && <Waiting />}
      {template && (
        <SpaceBetween size="l">
          <Header
            variant="h1"
            description={template.description || undefined}
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <TemplateActions kind="sla" template={template} onChanged={answer.refresh} onDeleted={() => void navigate(paths.templates)} />
                <RouterButton to={paths.editSlaTemplate(template.id)} variant="primary">
                  Edit
                </RouterButton>
              </SpaceBetween>
            }
          >
            {template.name}
          </Header>
          <Container header={<Header variant="h2">Summary</Header>}>
            <KeyValuePairs
              columns={4}
              items={[
                { label: "Version", value: String(template.version) },
                { label: "Kept from", value: `${template.terms.target} %` },
                { label: "Used by", value: <UsedBy policies={template.policies} /> },
                { label: "Changed", value: <When at={template.updatedAt} /> },
              ]}
            />
          </Container>
          <Container header={<Header variant="h2">What it promises</Header>}>
            <Terms terms={template.terms} />
          </Container>
          <Versions template={template} />
        </SpaceBetween>
      )}
    </Page>
  );
}

function Versions({ template }: { template: Sla }) {
  const older = template.versions.filter((each) => each.version !== template.version);
  if (older.length === 0) return null;
  return (
    <Container header={<Header variant="h2" counter={`(${older.length})`}>Earlier versions</Header>}>
      {older.map((each) => (
        <ExpandableSection key={each.version} headerText={`Version ${each.version}`} headerDescription={`In force from ${local(each.since)}.`}>
          <Terms terms={each.terms} />
        </ExpandableSection>
      ))}
    </Container>
  );
}

function Terms({ terms }: { terms: TermsPartsFragment }) {
  return (
    <ul className="hf-sentences">
      {termsSentences(terms).map((sentence) => (
        <li key={sentence}>{sentence}</li>
      ))}
    </ul>
  );
}

/** A storage template: which repository each Region uses. */
export function StorageTemplatePage() {
  const { id = "" } = useParams();
  const answer = useData(StorageTemplateDetailDocument, { id }, { live: ["policy", "repository", "storage_template"] });
  const navigate = useNavigate();
  const list = `${paths.templates}?tab=storage`;
  const node = answer.data?.node;
  const template = node?.__typename === "StorageTemplate" ? node : null;
  if (answer.problem?.code === "NOT_FOUND" || (answer.data && !template)) return <NotFound what="template" />;
  return (
    <Page title={template?.name ?? "Storage template"} above={[{ text: "Templates", href: list }]}>
      {answer.problem && <ProblemAlert header="The template cannot be shown" problem={answer.problem} onRetry={answer.refresh} />}
      {answer.loading && <Waiting />}
      {template && (
        <SpaceBetween size="l">
          <Header
            variant="h1"
            description={template.description || undefined}
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <TemplateActions kind="storage" template={template} onChanged={answer.refresh} onDeleted={() => void navigate(list)} />
                <RouterButton to={paths.editStorageTemplate(template.id)} variant="primary">
                  Edit
                </RouterButton>
              </SpaceBetween>
            }
          >
            {template.name}
          </Header>
          <Container header={<Header variant="h2">Summary</Header>}>
            <KeyValuePairs
              columns={3}
              items={[
                { label: "Used by", value: <UsedBy policies={template.policies} /> },
                { label: "Archives", value: template.archive ? template.archive.default.name : "No place for archives" },
                { label: "Changed", value: <When at={template.updatedAt} /> },
              ]}
            />
          </Container>
          <Places title="Backups" location={template.backup} />
          {template.archive && <Places title="Archives" location={template.archive} />}
        </SpaceBetween>
      )}
    </Page>
  );
}

function Places({ title, location }: { title: string; location: LocationPartsFragment }) {
  const rows = [...location.regions, { region: location.regions.length > 0 ? "All other Regions" : "All Regions", repository: location.default }];
  return (
    <Table
      variant="container"
      header={<Header variant="h2">{title}</Header>}
      items={rows}
      trackBy="region"
      columnDefinitions={[
        { id: "region", header: "Region", isRowHeader: true, cell: (row) => row.region },
        { id: "repository", header: "Repository", cell: (row) => <RouterLink to={paths.repository(row.repository.id)}>{row.repository.name}</RouterLink> },
      ]}
    />
  );
}
