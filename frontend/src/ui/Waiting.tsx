import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import Skeleton from "@cloudscape-design/components/skeleton";
import SpaceBetween from "@cloudscape-design/components/space-between";

/** The shape of a page about one thing, while that thing is on its way. */
export function Waiting() {
  return (
    <div role="status" aria-label="Loading">
      <SpaceBetween size="l">
        <Skeleton variant="text-heading-xl" width="320px" />
        <Container header={<Header>Details</Header>}>
          <SpaceBetween size="s">
            <Skeleton width="70%" />
            <Skeleton width="55%" />
            <Skeleton width="62%" />
          </SpaceBetween>
        </Container>
        <Container>
          <Skeleton height="180px" />
        </Container>
      </SpaceBetween>
    </div>
  );
}
