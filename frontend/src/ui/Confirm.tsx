import type { ReactNode } from "react";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Modal from "@cloudscape-design/components/modal";
import SpaceBetween from "@cloudscape-design/components/space-between";
import type { Problem } from "../api/errors";
import { ProblemAlert } from "./ProblemAlert";

interface ConfirmProps {
  readonly title: string;
  readonly action: string;
  readonly busy: boolean;
  readonly disabled?: boolean;
  readonly problem: Problem | null;
  readonly children: ReactNode;
  readonly size?: "small" | "medium" | "large";
  readonly onConfirm: () => void;
  readonly onClose: () => void;
}

/** Asks before something is done: what it means, then two buttons. Rendered only while it is open. */
export function Confirm({ title, action, busy, disabled, problem, children, size = "medium", onConfirm, onClose }: ConfirmProps) {
  return (
    <Modal
      visible
      size={size}
      header={title}
      closeAriaLabel="Close"
      onDismiss={onClose}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={onClose}>
              Cancel
            </Button>
            <Button variant="primary" loading={busy} disabled={disabled} onClick={onConfirm}>
              {action}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <SpaceBetween size="m">
        {problem && <ProblemAlert problem={problem} />}
        {children}
      </SpaceBetween>
    </Modal>
  );
}
