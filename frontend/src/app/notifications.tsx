import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import Flashbar, { type FlashbarProps } from "@cloudscape-design/components/flashbar";
import { useNavigate } from "react-router";
import { useClient } from "urql";
import type { Problem } from "../api/errors";
import { newKey } from "../api/key";
import { SessionStateDocument, type SessionKind, type State } from "../api/generated";
import { isFinal, SESSION_KIND } from "../format/words";
import { paths } from "./paths";

interface StartedSession {
  readonly id: string;
  readonly name: string;
  readonly kind: SessionKind;
  readonly state: State;
}

interface Notifications {
  readonly success: (header: string, content?: ReactNode) => void;
  readonly failure: (header: string, problem: Problem) => void;
  /** A notice that follows the session to its end. */
  readonly session: (session: StartedSession) => void;
}

const Context = createContext<Notifications | null>(null);
const SHOWN_MS = 8_000;
const POLL_MS = 2_000;
const MOST_SHOWN = 5;

const END: Record<State, { type: FlashbarProps.Type; text: string }> = {
  PENDING: { type: "in-progress", text: "is waiting" },
  RUNNING: { type: "in-progress", text: "is running" },
  SUCCESS: { type: "success", text: "has ended successfully" },
  WARNING: { type: "warning", text: "has ended with warnings" },
  ERROR: { type: "error", text: "has failed" },
  CANCELLED: { type: "info", text: "was cancelled" },
};

export function NotificationProvider({ children }: { children: (bar: ReactNode) => ReactNode }) {
  const [items, setItems] = useState<FlashbarProps.MessageDefinition[]>([]);
  const client = useClient();
  const navigate = useNavigate();
  const timers = useRef(new Set<number>());
  useEffect(() => {
    const pending = timers.current;
    return () => pending.forEach((timer) => window.clearTimeout(timer));
  }, []);

  const after = useCallback((ms: number, run: () => void) => {
    const timer = window.setTimeout(() => {
      timers.current.delete(timer);
      run();
    }, ms);
    timers.current.add(timer);
  }, []);

  const dismiss = useCallback((id: string) => setItems((all) => all.filter((item) => item.id !== id)), []);

  const put = useCallback(
    (id: string, item: FlashbarProps.MessageDefinition) =>
      setItems((all) => {
        const whole = { ...item, id, dismissible: true, dismissLabel: "Dismiss", onDismiss: () => dismiss(id) };
        return all.some((each) => each.id === id) ? all.map((each) => (each.id === id ? whole : each)) : [whole, ...all].slice(0, MOST_SHOWN);
      }),
    [dismiss],
  );

  const followSession = useCallback(
    (session: StartedSession) => {
      const show = (state: State): void =>
        put(session.id, {
          type: END[state].type,
          loading: !isFinal(state),
          content: `${SESSION_KIND[session.kind]} “${session.name}” ${END[state].text}.`,
          buttonText: "Show session",
          onButtonClick: () => void navigate(paths.session(session.id)),
        });
      const poll = async (): Promise<void> => {
        const answer = await client.query(SessionStateDocument, { id: session.id }, { requestPolicy: "network-only" });
        const node = answer.data?.node;
        if (node?.__typename === "Session") {
          show(node.state);
          if (isFinal(node.state)) {
            if (node.state === "SUCCESS") after(SHOWN_MS, () => dismiss(session.id));
            return;
          }
        }
        after(POLL_MS, () => void poll());
      };
      show(session.state);
      after(POLL_MS, () => void poll());
    },
    [after, client, dismiss, navigate, put],
  );

  const notifications = useMemo<Notifications>(
    () => ({
      success(header, content) {
        const id = newKey();
        put(id, { type: "success", header: content ? header : undefined, content: content ?? header });
        after(SHOWN_MS, () => dismiss(id));
      },
      failure(header, problem) {
        const id = `problem-${header}`;
        put(id, { type: "error", header, content: <ProblemText problem={problem} /> });
      },
      session: followSession,
    }),
    [after, dismiss, followSession, put],
  );

  return (
    <Context.Provider value={notifications}>
      {children(<Flashbar items={items} stackItems={items.length > 3} />)}
    </Context.Provider>
  );
}

export function ProblemText({ problem }: { problem: Problem }) {
  const fields = Object.values(problem.fields);
  return (
    <>
      {problem.message} {problem.remedy}
      {fields.length > 0 && !fields.every((sentence) => problem.message.includes(sentence)) && ` ${fields.join(" ")}`}
    </>
  );
}

export function useNotifications(): Notifications {
  const value = useContext(Context);
  if (!value) throw new Error("useNotifications needs a NotificationProvider above it");
  return value;
}
