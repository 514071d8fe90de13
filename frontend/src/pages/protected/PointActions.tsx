import { useState } from "react";
import Button from "@cloudscape-design/components/button";
import ButtonDropdown from "@cloudscape-design/components/button-dropdown";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { useNavigate } from "react-router";
import type { PointRowFragment } from "../../api/generated";
import { paths } from "../../app/paths";
import { refusal, type PointAction } from "./archives";
import { DeletePoints } from "./DeletePoints";
import { ArchivePoints, ExtendRetrieval, RetrievePoints, VerifyPoints } from "./PointDialogs";

const ACTIONS: readonly { id: PointAction; text: string; secondaryText: string }[] = [
  { id: "verify", text: "Verify", secondaryText: "Read it all and compare" },
  { id: "archive", text: "Archive to…", secondaryText: "Copy it into an archive repository" },
  { id: "retrieve", text: "Retrieve…", secondaryText: "Make an archive readable" },
  { id: "extend", text: "Extend…", secondaryText: "Keep an archive readable longer" },
];

interface PointActionsProps {
  readonly points: readonly PointRowFragment[];
  readonly onStarted: () => void;
}

/** Everything that can be done with restore points, on a point's page and in lists. */
export function PointActions({ points, onStarted }: PointActionsProps) {
  const [asking, setAsking] = useState<PointAction | "delete" | null>(null);
  const navigate = useNavigate();
  const [only] = points;
  const dialog = {
    points,
    onClose: () => setAsking(null),
    onStarted: () => {
      setAsking(null);
      onStarted();
    },
  };
  return (
    <>
      <SpaceBetween direction="horizontal" size="xs">
        <Button disabled={points.length === 0} onClick={() => setAsking("delete")}>
          Delete
        </Button>
        <ButtonDropdown
          disabled={points.length === 0}
          expandToViewport
          items={ACTIONS.map((action) => {
            const reason = refusal(action.id, points);
            return { ...action, disabled: reason !== null, disabledReason: reason ?? undefined };
          })}
          onItemClick={({ detail }) => setAsking(detail.id as PointAction)}
        >
          Actions
        </ButtonDropdown>
        <ButtonDropdown
          variant="primary"
          disabled={points.length !== 1}
          expandToViewport
          items={[
            { id: "volumes", text: "Restore volumes", secondaryText: "As new volumes, attached to nothing" },
            { id: "instance", text: "Restore instance", secondaryText: "As a new instance beside the old one" },
          ]}
          onItemClick={({ detail }) => {
            if (only) void navigate(detail.id === "volumes" ? paths.restoreVolumes(only.id) : paths.restoreInstance(only.id));
          }}
        >
          Restore
        </ButtonDropdown>
      </SpaceBetween>
      {asking === "delete" && <DeletePoints {...dialog} />}
      {asking === "verify" && <VerifyPoints {...dialog} />}
      {asking === "archive" && <ArchivePoints {...dialog} />}
      {asking === "retrieve" && <RetrievePoints {...dialog} />}
      {asking === "extend" && only && <ExtendRetrieval {...dialog} point={only} />}
    </>
  );
}
