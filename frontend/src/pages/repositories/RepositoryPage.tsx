import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import { useNavigate, useParams } from "react-router";
import { RepositoryDetailDocument, type RepositoryRowFragment } from "../../api/generated";
import { useData } from "../../api/useData";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { count } from "../../format/text";
import { size } from "../../format/size";
import { STORAGE_CLASS, STORAGE_KIND } from "../../format/words";
import { HealthIndicator } from "../../ui/indicators";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { Waiting } from "../../ui/Waiting";
import { When } from "../../ui/When";
import NotFound from "../NotFound";
import { PointTable } from "../protected/PointTable";
import { RepositoryActions } from "./RepositoryActions";

/** One repository: how it is kept, how it is doing, and what it holds. */
export default function RepositoryPage() {
  const { id = "" } = useParams();
  const answer = useData(RepositoryDetailDocument, { id }, { live: ["repository", "restore_point", "session"] });
  const navigate = useNavigate();
  const node = answer.data?.node;
  const repository = node?.__typename === "Repository" ? node : null;
  if (answer.problem?.code === "NOT_FOUND" || (answer.data && !repository)) return <NotFound what="repository" />;
  return (
    <Page title={repository?.name ?? "Repository"} above={[{ text: "Repositories", href: paths.repositories }]}>
      {answer.problem && <ProblemAlert header="The repository cannot be shown" problem={answer.problem} onRetry={answer.refresh} />}
      {answer.loading && <Waiting />}
      {repository && (
        <SpaceBetween size="l">
          <Header
            variant="h1"
            description={repository.description || undefined}
            actions={<RepositoryActions repository={repository} onChanged={answer.refresh} onRemoved={() => void navigate(paths.repositories)} />}
          >
            {repository.name}
          </Header>
          {repository.state === "UNAVAILABLE" && repository.problem && (
            <Alert type="error" header="The repository cannot be reached">
              {repository.problem}
            </Alert>
          )}
          <Summary repository={repository} />
          <PointTable repositoryId={repository.id} />
        </SpaceBetween>
      )}
    </Page>
  );
}

function Summary({ repository }: { repository: RepositoryRowFragment }) {
  const opensWith =
    repository.encryption === "KMS" ? (
      <span className="hf-place">{repository.kmsKey}</span>
    ) : repository.hint ? (
      `Password (hint: ${repository.hint})`
    ) : (
      "Password"
    );
  return (
    <Container header={<Header variant="h2">Summary</Header>}>
      <KeyValuePairs
        columns={4}
        items={[
          { label: "Status", value: <HealthIndicator state={repository.state} problem={null} /> },
          { label: "Kind", value: STORAGE_KIND[repository.kind] },
          { label: "Place", value: <span className="hf-place">{repository.url}</span> },
          { label: "AWS account", value: repository.account ? `${repository.account.name}, ${repository.region ?? ""}` : "None" },
          { label: "Storage class", value: repository.kind === "LOCAL" ? "Local disk" : STORAGE_CLASS[repository.storageClass] },
          {
            label: "Locked against deletion",
            value: repository.immutable ? (
              <StatusIndicator type="success">Yes</StatusIndicator>
            ) : (
              "No"
            ),
          },
          { label: "Opens with", value: opensWith },
          { label: "Stored", value: <span className="hf-number">{size(repository.storedBytes)}</span> },
          {
            label: "Backups",
            value: (
              <>
                {repository.pointCount.toLocaleString("en-US")}
                {repository.incompletePointCount > 0 && (
                  <Box>
                    <StatusIndicator type="error">{count(repository.incompletePointCount, "backup")} incomplete</StatusIndicator>
                  </Box>
                )}
              </>
            ),
          },
          { label: "Last check", value: <When at={repository.checkedAt} none="Never" /> },
          { label: "Last rescan", value: <When at={repository.rescannedAt} none="Never" /> },
          { label: "Last garbage collection", value: <When at={repository.collectedAt} none="Never" /> },
        ]}
      />
    </Container>
  );
}
