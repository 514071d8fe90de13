import { useState } from "react";
import Button from "@cloudscape-design/components/button";
import ButtonDropdown, { type ButtonDropdownProps } from "@cloudscape-design/components/button-dropdown";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { useNavigate } from "react-router";
import { MovePolicyDocument, type MoveTo, type PolicyRowFragment } from "../../api/generated";
import { useCommand } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { paths } from "../../app/paths";
import { isFinal } from "../../format/words";
import { ClonePolicy } from "./ClonePolicy";
import { DeletePolicy } from "./DeletePolicy";
import { RunHealthCheck } from "./RunHealthCheck";
import { RunPolicy } from "./RunPolicy";
import { StopPolicy } from "./StopPolicy";
import { SwitchPolicy } from "./SwitchPolicy";

type Asked = "run" | "stop" | "switch" | "clone" | "health" | "delete";

interface PolicyActionsProps {
  /** null: none is selected. */
  readonly policy: PolicyRowFragment | null;
  /** In a list, where the order shows. */
  readonly ordered?: boolean;
  readonly onChanged: () => void;
  readonly onDeleted: () => void;
}

const MOVES: readonly { id: MoveTo; text: string }[] = [
  { id: "TOP", text: "To the top" },
  { id: "UP", text: "Up" },
  { id: "DOWN", text: "Down" },
  { id: "BOTTOM", text: "To the bottom" },
];

/** Everything that can be done with a policy, in its list and on its page; each says first what will happen. */
export function PolicyActions({ policy, ordered = false, onChanged, onDeleted }: PolicyActionsProps) {
  const [asked, setAsked] = useState<Asked | null>(null);
  const move = useCommand(MovePolicyDocument);
  const notifications = useNotifications();
  const navigate = useNavigate();
  const running = policy?.lastSession !== null && policy?.lastSession !== undefined && !isFinal(policy.lastSession.state);
  const close = (): void => setAsked(null);
  const dialog = { onClose: close, onChanged };

  async function moveTo(to: MoveTo): Promise<void> {
    if (!policy) return;
    const { problem } = await move.run({ input: { id: policy.id, to } });
    if (problem) notifications.failure(`Policy ${policy.name} could not be moved`, problem);
    onChanged();
  }

  function chosen(id: string): void {
    if (!policy) return;
    if (id === "edit") void navigate(paths.editPolicy(policy.id));
    else if (MOVES.some((each) => each.id === id)) void moveTo(id as MoveTo);
    else setAsked(id as Asked);
  }

  return (
    <>
      <SpaceBetween direction="horizontal" size="xs">
        {ordered && (
          <>
            <Button iconName="angle-up" ariaLabel="Move up" disabled={!policy || move.busy} onClick={() => void moveTo("UP")} />
            <Button iconName="angle-down" ariaLabel="Move down" disabled={!policy || move.busy} onClick={() => void moveTo("DOWN")} />
          </>
        )}
        <Button disabled={!policy} variant={ordered ? "normal" : "primary"} onClick={() => setAsked(running ? "stop" : "run")}>
          {running ? "Stop" : "Run now"}
        </Button>
        <ButtonDropdown disabled={!policy} items={policy ? itemsFor(policy, running) : []} expandToViewport onItemClick={({ detail }) => chosen(detail.id)}>
          Actions
        </ButtonDropdown>
      </SpaceBetween>
      {asked === "run" && policy && <RunPolicy policy={policy} onClose={close} />}
      {asked === "stop" && policy && <StopPolicy policy={policy} {...dialog} />}
      {asked === "switch" && policy && <SwitchPolicy policy={policy} {...dialog} />}
      {asked === "clone" && policy && <ClonePolicy policy={policy} {...dialog} />}
      {asked === "health" && policy && <RunHealthCheck policy={policy} onClose={close} />}
      {asked === "delete" && policy && (
        <DeletePolicy
          policy={policy}
          onClose={close}
          onDeleted={() => {
            close();
            onDeleted();
            onChanged();
          }}
        />
      )}
    </>
  );
}

function itemsFor(policy: PolicyRowFragment, running: boolean): ButtonDropdownProps.ItemOrGroup[] {
  const backups = policy.repository !== null || policy.storageTemplate !== null;
  return [
    { id: "edit", text: "Edit" },
    { id: "clone", text: "Clone" },
    running ? { id: "run", text: "Run once more" } : { id: "stop", text: "Stop", disabled: true, disabledReason: "It is not running." },
    { id: "switch", text: policy.enabled ? "Disable" : "Enable" },
    { text: "Priority", items: MOVES.map(({ id, text }) => ({ id, text })) },
    { id: "health", text: "Run health check now", disabled: !backups, disabledReason: backups ? undefined : "It makes no backups." },
    { id: "delete", text: "Delete" },
  ];
}
