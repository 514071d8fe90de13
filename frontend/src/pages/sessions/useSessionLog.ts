import { useEffect, useState } from "react";
import { SessionEventsDocument, type SessionEventsSubscription } from "../../api/generated";
import { isPointless } from "../../api/live";
import { follow, type LiveState } from "../../api/resume";
import { useLiveConnection } from "../../app/connected";

export type LogLine = SessionEventsSubscription["sessionEvents"];

/** A session's log from its first line, growing while the session runs; survives a dropped connection. */
export function useSessionLog(sessionId: string): { lines: readonly LogLine[]; state: LiveState } {
  const live = useLiveConnection();
  const [lines, setLines] = useState<readonly LogLine[]>([]);
  const [state, setState] = useState<LiveState>("connecting");
  useEffect(() => {
    if (!live) return undefined;
    setLines([]);
    return follow<LogLine, number>({
      source: (after, sink) =>
        live.subscribe<SessionEventsSubscription>(
          { query: String(SessionEventsDocument), variables: { id: sessionId, after } },
          { next: (data) => sink.next(data.sessionEvents), error: sink.error, complete: sink.complete },
        ),
      start: 0,
      // Numbers grow by one; a line that is not newer was already shown.
      advance: (cursor, line) => (line.number > cursor ? line.number : null),
      onValues: (more) => setLines((before) => [...before, ...more]),
      onState: setState,
      isFatal: isPointless,
    });
  }, [live, sessionId]);
  return { lines, state };
}
