import Alert from "@cloudscape-design/components/alert";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { paths } from "../../app/paths";
import { gib } from "../../format/size";
import { LegBadge } from "../../ui/indicators";
import { RouterLink } from "../../ui/RouterLink";
import { When } from "../../ui/When";
import type { PointDetail } from "./usePoint";

/** What is about to be restored. */
export function PointSummary({ point }: { point: PointDetail }) {
  return (
    <SpaceBetween size="l">
      {point.health === "INCOMPLETE" && (
        <Alert type="warning" header="This restore point is incomplete">
          What is damaged cannot be restored, and the restore stops there. Choose a healthy restore point if there is one.{" "}
          <RouterLink to={paths.point(point.id)}>Show damage</RouterLink>
        </Alert>
      )}
      <Container header={<Header variant="h2">Restore point</Header>}>
        <KeyValuePairs
          columns={4}
          items={[
            { label: "Resource", value: point.resourceName },
            { label: "Moment", value: <When at={point.at} /> },
            { label: "Place", value: <LegBadge leg={point.leg} /> },
            { label: "Size", value: gib(point.sizeBytes) },
          ]}
        />
      </Container>
    </SpaceBetween>
  );
}

/** A snapshot cannot leave its Region and account; a backup can go anywhere. */
export function SnapshotLimits({ point }: { point: PointDetail }) {
  if (point.leg !== "SNAPSHOT") return null;
  return (
    <Alert type="info">
      A snapshot is restored in the account and Region it is in: {point.resource.account.name}, {point.region}. A backup can be restored anywhere.
    </Alert>
  );
}
