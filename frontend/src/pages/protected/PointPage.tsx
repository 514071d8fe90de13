import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs, { type KeyValuePairsProps } from "@cloudscape-design/components/key-value-pairs";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Table from "@cloudscape-design/components/table";
import { useParams } from "react-router";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { usd } from "../../format/money";
import { count } from "../../format/text";
import { gib, size } from "../../format/size";
import { local } from "../../format/time";
import { LEG, RETRIEVAL_MODE, STORAGE_CLASS } from "../../format/words";
import { FlagBadges } from "../../ui/FlagBadges";
import { LegBadge } from "../../ui/indicators";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { RouterLink } from "../../ui/RouterLink";
import { Waiting } from "../../ui/Waiting";
import { When } from "../../ui/When";
import NotFound from "../NotFound";
import { damageRows, type DamageRow } from "./damage";
import { PointActions } from "./PointActions";
import { Kept, PointHealth, Proven, RetrievalIndicator } from "./pointParts";
import { usePoint, type PointDetail } from "./usePoint";

/** One restore point: where it is, how it is doing, what it holds. */
export default function PointPage() {
  const { id = "" } = useParams();
  const { point, missing, loading, problem, refresh } = usePoint(id);
  if (missing) return <NotFound what="restore point" />;
  const above = [
    { text: "Protected data", href: paths.protectedData },
    ...(point ? [{ text: point.resourceName, href: paths.protectedResource(point.resource.id) }] : []),
  ];
  return (
    <Page title={point ? local(point.at) : "Restore point"} above={above}>
      {problem && <ProblemAlert header="The restore point cannot be shown" problem={problem} onRetry={refresh} />}
      {loading && <Waiting />}
      {point && (
        <SpaceBetween size="l">
          <Header variant="h1" description={`${LEG[point.leg]} of ${local(point.at)}`} actions={<PointActions points={[point]} onStarted={refresh} />}>
            {point.resourceName}
          </Header>
          {point.health === "INCOMPLETE" && <Incomplete point={point} />}
          <Summary point={point} />
          {point.leg === "ARCHIVE" && <Archive point={point} />}
          <Disks point={point} />
        </SpaceBetween>
      )}
    </Page>
  );
}

function Summary({ point }: { point: PointDetail }) {
  const items: KeyValuePairsProps.Pair[] = [
    { label: "Resource", value: <RouterLink to={paths.protectedResource(point.resource.id)}>{point.resourceName}</RouterLink> },
    { label: "Moment", value: <When at={point.at} /> },
    { label: "Place", value: <LegBadge leg={point.leg} /> },
    {
      label: "Kept in",
      value: point.repository ? <RouterLink to={paths.repository(point.repository.id)}>{point.repository.name}</RouterLink> : `AWS, ${point.region}`,
    },
    { label: "Size", value: gib(point.sizeBytes) },
    { label: "Made by", value: point.manual ? "Hand" : point.policy ? <RouterLink to={paths.policy(point.policy.id)}>{point.policy.name}</RouterLink> : "–" },
  ];
  if (point.repository) {
    items.push(
      { label: "Added to repository", value: size(point.storedBytes) },
      { label: "Health", value: point.health === "HEALTHY" ? <PointHealth point={point} /> : <Box color="text-status-error">Incomplete</Box> },
      { label: "Last proven", value: <Proven point={point} /> },
    );
  }
  if (!point.manual) items.push({ label: "Flags", value: <FlagBadges flags={point.flags} none="None" /> });
  items.push({ label: "Kept", value: <Kept point={point} /> });
  if (point.session) {
    items.push({ label: "Session", value: <RouterLink to={paths.session(point.session.id)}>{point.session.name}</RouterLink> });
  }
  if (point.source) {
    const replica = point.leg === "REPLICA";
    items.push({
      label: replica ? "Copy of" : "Archived from",
      value: (
        <RouterLink to={paths.point(point.source.id)}>
          {replica ? "Snapshot" : "Backup"} of {local(point.source.at)}
        </RouterLink>
      ),
    });
  }
  return (
    <Container header={<Header variant="h2">Summary</Header>}>
      <KeyValuePairs columns={4} items={items} />
    </Container>
  );
}

/** What of it cannot be read, disk by disk. */
function Incomplete({ point }: { point: PointDetail }) {
  const { damage } = point;
  const rows = damage ? damageRows(damage, point.disks) : [];
  return (
    <SpaceBetween size="l">
      <Alert type="error" header="This restore point is incomplete">
        Part of its data cannot be read; everything else can still be restored. The next backup of {point.resourceName} stores again what its volumes
        still hold, which also heals this restore point.
      </Alert>
      {damage && rows.length > 0 && (
        <Table<DamageRow>
          variant="container"
          wrapLines
          items={rows}
          trackBy="key"
          header={
            <Header variant="h2" counter={`(${rows.length + damage.more})`} description={`Found by the check of ${local(damage.foundAt)}.`}>
              Damaged ranges
            </Header>
          }
          columnDefinitions={[
            { id: "disk", header: "Volume", isRowHeader: true, cell: (row) => row.disk },
            { id: "from", header: "First byte", cell: (row) => <span className="hf-number">{row.from}</span> },
            { id: "to", header: "Up to byte", cell: (row) => <span className="hf-number">{row.to}</span> },
            { id: "length", header: "Length", cell: (row) => row.length },
          ]}
          footer={damage.more > 0 ? <Box textAlign="center">and {count(damage.more, "range")} more</Box> : undefined}
        />
      )}
    </SpaceBetween>
  );
}

function Archive({ point }: { point: PointDetail }) {
  const { retrieval, archiveCost } = point;
  const items: KeyValuePairsProps.Pair[] = [{ label: "State", value: <RetrievalIndicator retrieval={retrieval} /> }];
  if (point.repository) items.push({ label: "Storage class", value: STORAGE_CLASS[point.repository.storageClass] });
  if (retrieval) {
    items.push({ label: "Asked for", value: <When at={retrieval.requestedAt} /> }, { label: "How fast", value: RETRIEVAL_MODE[retrieval.mode] });
    if (retrieval.state === "REQUESTED") {
      items.push({
        label: "Expected",
        value: (
          <>
            <When at={retrieval.expectedFrom} /> to <When at={retrieval.expectedBy} />
          </>
        ),
      });
    }
  }
  if (archiveCost) {
    items.push(
      { label: "Keeping it costs about", value: `${usd(archiveCost.usdPerMonth)} a month` },
      {
        label: "Deleting it now costs about",
        value:
          archiveCost.usdIfDeletedNow > 0 ? (
            <>
              {usd(archiveCost.usdIfDeletedNow)}; nothing after <When at={archiveCost.minimumUntil} />
            </>
          ) : (
            "Nothing"
          ),
      },
    );
  }
  return (
    <Container
      header={
        <Header variant="h2" description={archiveCost ? `Costs are estimates from the list prices of ${archiveCost.pricesOf}.` : undefined}>
          Archive
        </Header>
      }
    >
      <KeyValuePairs columns={3} items={items} />
    </Container>
  );
}

function Disks({ point }: { point: PointDetail }) {
  const snapshots = point.disks.some((disk) => disk.snapshotId);
  return (
    <Table<PointDetail["disks"][number]>
      variant="container"
      wrapLines
      items={[...point.disks]}
      trackBy="diskId"
      header={<Header variant="h2" counter={`(${point.disks.length})`}>Volumes</Header>}
      columnDefinitions={[
        { id: "device", header: "Device", isRowHeader: true, cell: (disk) => disk.device || "–" },
        { id: "id", header: "Volume at that time", cell: (disk) => disk.diskId },
        { id: "size", header: "Size", cell: (disk) => gib(disk.sizeBytes) },
        ...(snapshots ? [{ id: "snapshot", header: "Snapshot", cell: (disk: PointDetail["disks"][number]) => disk.snapshotId ?? "–" }] : []),
      ]}
    />
  );
}
