import { createClient as createSseClient } from "graphql-sse";
import { createClient as createSocketClient, type Client as SocketClient } from "graphql-ws";
import type { Auth } from "./auth";
import type { Sink } from "./resume";

interface Operation {
  readonly query: string;
  readonly variables: Record<string, unknown>;
}

/** Close code of the GraphQL-over-WebSocket protocol for a token that is not accepted. */
const CLOSE_FORBIDDEN = 4403;
const CLOSE_UNAUTHORIZED = 4401;
/** A socket that has not opened by then is taken to be blocked by something between here and the appliance. */
const OPEN_TIMEOUT_MS = 5_000;

/**
 * Subscriptions over WebSocket; where no socket ever opens (proxies that block them), over server-sent events.
 *
 * It does not reconnect by itself: who subscribes knows the cursor to go on from (see resume.ts).
 */
export class Live {
  private readonly socket: SocketClient;
  private readonly events: ReturnType<typeof createSseClient<false>>;
  private everOpened = false;
  private blocked = false;

  constructor(private readonly auth: Auth) {
    this.socket = createSocketClient({
      url: () => new URL("/graphql", location.href.replace(/^http/, "ws")).href,
      connectionParams: async () => ({ authorization: `Bearer ${await auth.token()}` }),
      lazyCloseTimeout: 10_000,
      keepAlive: 15_000,
      retryAttempts: 0,
      on: {
        connected: () => {
          this.everOpened = true;
        },
        closed: (event) => {
          const code = (event as { code?: number }).code;
          if (code === CLOSE_FORBIDDEN || code === CLOSE_UNAUTHORIZED) void auth.refresh().catch(() => undefined);
        },
      },
    });
    this.events = createSseClient({
      url: "/graphql",
      singleConnection: false,
      retryAttempts: 0,
      headers: async () => ({ authorization: `Bearer ${await auth.token()}` }),
    });
  }

  subscribe<T>(operation: Operation, sink: Sink<T>): () => void {
    return this.blocked ? this.overEvents(operation, sink) : this.overSocket(operation, sink);
  }

  close(): void {
    void this.socket.dispose();
    this.events.dispose();
  }

  private overSocket<T>(operation: Operation, sink: Sink<T>): () => void {
    let over = false;
    const fail = (reason: unknown): void => {
      if (over) return;
      over = true;
      window.clearTimeout(timer);
      if (!this.everOpened && this.auth.user()) this.blocked = true;
      sink.error(reason);
    };
    const stop = this.socket.subscribe<T>(operation, {
      next: (result) => {
        if (result.errors?.length) fail(result.errors);
        else if (result.data) sink.next(result.data as T);
      },
      error: fail,
      complete: () => {
        if (over) return;
        over = true;
        window.clearTimeout(timer);
        sink.complete();
      },
    });
    const timer = window.setTimeout(() => {
      if (!this.everOpened) {
        fail(new Error("The WebSocket did not open."));
        stop();
      }
    }, OPEN_TIMEOUT_MS);
    return () => {
      over = true;
      window.clearTimeout(timer);
      stop();
    };
  }

  private overEvents<T>(operation: Operation, sink: Sink<T>): () => void {
    let over = false;
    const stop = this.events.subscribe<T>(operation, {
      next: (result) => {
        if (over) return;
        if (result.errors?.length) {
          over = true;
          sink.error(result.errors);
        } else if (result.data) {
          sink.next(result.data as T);
        }
      },
      error: (reason) => {
        if (over) return;
        over = true;
        sink.error(reason);
      },
      complete: () => {
        if (over) return;
        over = true;
        sink.complete();
      },
    });
    return () => {
      over = true;
      stop();
    };
  }
}

/** Errors that another try will not cure: the thing is gone, or the role does not allow it. */
export function isPointless(reason: unknown): boolean {
  const errors = Array.isArray(reason) ? (reason as { extensions?: { code?: unknown } }[]) : [];
  return errors.some((error) => ["NOT_FOUND", "FORBIDDEN", "INVALID_INPUT"].includes(String(error.extensions?.code)));
}
