import Alert from "@cloudscape-design/components/alert";
import Button from "@cloudscape-design/components/button";
import type { Problem } from "../api/errors";
import { ProblemText } from "../app/notifications";

/** What went wrong, in the server's words, with what to do about it. */
export function ProblemAlert({ header, problem, onRetry }: { header?: string; problem: Problem; onRetry?: () => void }) {
  return (
    <Alert type="error" header={header} action={onRetry && <Button onClick={onRetry}>Try again</Button>}>
      <ProblemText problem={problem} />
    </Alert>
  );
}
