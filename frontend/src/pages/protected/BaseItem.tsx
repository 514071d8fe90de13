import Alert from "@cloudscape-design/components/alert";
import { ChangeTrackingBasesDocument, type ChangeTrackingBasesQuery } from "../../api/generated";
import { useData } from "../../api/useData";
import { paths } from "../../app/paths";
import { usd } from "../../format/money";
import { RouterLink } from "../../ui/RouterLink";
import { When } from "../../ui/When";

type Point = ChangeTrackingBasesQuery["restorePoints"]["edges"][number]["node"];

/** The snapshot the next backup builds on: why it is there, and what it costs. */
export function BaseItem({ resourceId }: { resourceId: string }) {
  const answer = useData(ChangeTrackingBasesDocument, { resourceId }, { live: ["restore_point", "session"] });
  const bases = answer.data?.restorePoints.edges.map(({ node }) => node).filter((point) => point.isChangeTrackingBase) ?? [];
  if (bases.length === 0) return null;
  return (
    <>
      {bases.map((point) => (
        <One key={point.id} point={point} />
      ))}
    </>
  );
}

function One({ point }: { point: Point }) {
  const { baseCost } = point;
  return (
    <Alert type="info" header="Held for the next backup">
      The{" "}
      <RouterLink to={paths.point(point.id)}>
        snapshot of <When at={point.at} />
      </RouterLink>{" "}
      is what the next backup is compared with, so that only what changed is read. It is let go when that backup is complete.{" "}
      {baseCost &&
        (baseCost.baseOnly
          ? `No schedule keeps it any more; holding it costs up to ${usd(baseCost.usdPerMonth)} a month (prices of ${baseCost.priceDate}).`
          : `It is kept by its schedule as well; alone it costs up to ${usd(baseCost.usdPerMonth)} a month (prices of ${baseCost.priceDate}).`)}
    </Alert>
  );
}
