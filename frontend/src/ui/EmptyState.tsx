import type { ReactNode } from "react";
import Box from "@cloudscape-design/components/box";
import SpaceBetween from "@cloudscape-design/components/space-between";

/** Nothing here yet: why, and what to do next. */
export function EmptyState({ title, text, children }: { title: string; text: ReactNode; children?: ReactNode }) {
  return (
    <Box textAlign="center" color="inherit" margin={{ vertical: "xs" }}>
      <SpaceBetween size="xs">
        <Box variant="strong" color="inherit">
          {title}
        </Box>
        <Box color="text-body-secondary">{text}</Box>
        {children && <Box padding={{ top: "xxs" }}>{children}</Box>}
      </SpaceBetween>
    </Box>
  );
}
