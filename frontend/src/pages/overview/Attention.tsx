import Box from "@cloudscape-design/components/box";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import type { OverviewQuery } from "../../api/generated";
import { RouterLink } from "../../ui/RouterLink";
import { When } from "../../ui/When";
import { paths } from "../../app/paths";
import { concerns } from "./attention";

export function Attention({ data }: { data: OverviewQuery }) {
  const found = concerns(data);
  return (
    <div className="hf-attention">
      <Container
        fitHeight
        header={
          <Header variant="h2" counter={found.length > 0 ? `(${found.length})` : undefined}>
            Needs attention
          </Header>
        }
      >
        {found.length === 0 ? (
          <StatusIndicator type="success">Everything is in order.</StatusIndicator>
        ) : (
          <ul className="hf-concerns">
            {found.map((concern) => (
              <li key={concern.key}>
                <StatusIndicator type={concern.level}>{concern.text}</StatusIndicator>
                <RouterLink to={concern.to}>{concern.action}</RouterLink>
              </li>
            ))}
          </ul>
        )}
      </Container>
      <NextRuns data={data} />
    </div>
  );
}

function NextRuns({ data }: { data: OverviewQuery }) {
  const upcoming = data.policies.edges
    .flatMap(({ node }) => (node.nextRunAt ? [{ ...node, nextRunAt: node.nextRunAt }] : []))
    .sort((left, right) => left.nextRunAt.localeCompare(right.nextRunAt))
    .slice(0, 5);
  return (
    <Container fitHeight header={<Header variant="h2">Next runs</Header>}>
      {upcoming.length === 0 ? (
        <Box color="text-body-secondary">No policy is scheduled.</Box>
      ) : (
        <ul className="hf-concerns">
          {upcoming.map((policy) => (
            <li key={policy.id}>
              <RouterLink to={paths.policy(policy.id)}>{policy.name}</RouterLink>
              <When at={policy.nextRunAt} ago />
            </li>
          ))}
        </ul>
      )}
    </Container>
  );
}
