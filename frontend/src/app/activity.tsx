import { createContext, useContext, useEffect, useMemo, useRef, type ReactNode } from "react";
import { follow } from "../api/resume";
import { isPointless } from "../api/live";
import { ActivityFeedDocument, type ActivityFeedSubscription } from "../api/generated";
import { useLiveConnection } from "./connected";

type Activity = ActivityFeedSubscription["activity"];
type Listener = (kind: string) => void;
export type ActivityKind = "session" | "policy" | "repository" | "account" | "resource" | "restore_point" | "sla_template" | "storage_template" | "preferences";

const Context = createContext<Set<Listener> | null>(null);

/** Hears of every change on the appliance, once per page, and tells whoever shows something of that kind. */
export function ActivityProvider({ children }: { children: ReactNode }) {
  const listeners = useMemo(() => new Set<Listener>(), []);
  const live = useLiveConnection();
  useEffect(() => {
    if (!live) return undefined;
    return follow<Activity, string | null>({
      source: (after, sink) =>
        live.subscribe<ActivityFeedSubscription>(
          { query: String(ActivityFeedDocument), variables: { after } },
          { next: (data) => sink.next(data.activity), error: sink.error, complete: () => sink.error("The feed never ends.") },
        ),
      start: null,
      advance: (_cursor, activity) => activity.cursor,
      onValues: (activities) => {
        for (const kind of new Set(activities.map((activity) => activity.kind))) {
          listeners.forEach((listener) => listener(kind));
        }
      },
      onState: () => undefined,
      isFatal: isPointless,
    });
  }, [listeners, live]);
  return <Context.Provider value={listeners}>{children}</Context.Provider>;
}

const AT_MOST_EVERY_MS = 1_500;

/** Calls `refresh` after changes of these kinds: soon after the first, then at most every 1.5 s while they go on. */
export function useActivity(kinds: readonly ActivityKind[], refresh: () => void): void {
  const listeners = useContext(Context);
  const latest = useRef(refresh);
  latest.current = refresh;
  const wanted = kinds.join(" ");
  useEffect(() => {
    if (!listeners || wanted === "") return undefined;
    let timer = 0;
    let last = 0;
    const listener: Listener = (kind) => {
      if (!wanted.split(" ").includes(kind.toLowerCase()) || timer !== 0) return;
      const wait = Math.max(150, last + AT_MOST_EVERY_MS - Date.now());
      timer = window.setTimeout(() => {
        timer = 0;
        last = Date.now();
        latest.current();
      }, wait);
    };
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      window.clearTimeout(timer);
    };
  }, [listeners, wanted]);
}
