import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { useParams } from "react-router";
import { ResourceDetailDocument } from "../../api/generated";
import { useData } from "../../api/useData";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { gib } from "../../format/size";
import { workloadName } from "../../format/words";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { RouterButton } from "../../ui/RouterLink";
import { Waiting } from "../../ui/Waiting";
import { When } from "../../ui/When";
import NotFound from "../NotFound";
import { PresenceIndicator } from "../resources/Resources";
import { PointTable } from "./PointTable";

/** One resource's restore points, and the ways back. */
export default function ProtectedResource() {
  const { id = "" } = useParams();
  const answer = useData(ResourceDetailDocument, { id }, { live: ["restore_point", "resource"] });
  const node = answer.data?.node;
  const resource = node?.__typename === "Resource" ? node : null;
  if (answer.problem?.code === "NOT_FOUND" || (answer.data && !resource)) return <NotFound what="resource" />;
  return (
    <Page title={resource?.name ?? "Resource"} above={[{ text: "Protected data", href: paths.protectedData }]}>
      {answer.problem && <ProblemAlert header="The resource cannot be shown" problem={answer.problem} onRetry={answer.refresh} />}
      {answer.loading && <Waiting />}
      {resource && (
        <SpaceBetween size="l">
          <Header
            variant="h1"
            description={`${workloadName(resource.workload)} ${resource.awsId} in ${resource.region}`}
            actions={<RouterButton to={paths.resource(resource.id)}>Show resource</RouterButton>}
          >
            {resource.name}
          </Header>
          <Container>
            <KeyValuePairs
              columns={4}
              items={[
                { label: "State", value: <PresenceIndicator resource={resource} /> },
                { label: "Size", value: gib(resource.sizeBytes) },
                { label: "AWS account", value: resource.account.name },
                { label: "Newest restore point", value: <When at={resource.lastPointAt} ago none="None yet" /> },
              ]}
            />
          </Container>
          <PointTable resourceId={resource.id} />
        </SpaceBetween>
      )}
    </Page>
  );
}
