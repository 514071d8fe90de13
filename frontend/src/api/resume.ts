/** What a live source calls back with; `complete` means there will never be more. */
export interface Sink<T> {
  next(value: T): void;
  error(reason: unknown): void;
  complete(): void;
}

/** Starts reading after `cursor`; returns how to stop. */
export type Source<T, Cursor> = (cursor: Cursor, sink: Sink<T>) => () => void;

export interface ResumeOptions<T, Cursor> {
  readonly source: Source<T, Cursor>;
  readonly start: Cursor;
  /** The cursor to resume after once `value` was delivered; null when `value` was already delivered before. */
  readonly advance: (cursor: Cursor, value: T) => Cursor | null;
  readonly onValues: (values: readonly T[]) => void;
  readonly onState: (state: LiveState) => void;
  /** Is another try pointless (not found, not allowed)? */
  readonly isFatal?: (reason: unknown) => boolean;
  readonly schedule?: (run: () => void, ms: number) => () => void;
  readonly random?: () => number;
}

export type LiveState = "connecting" | "live" | "reconnecting" | "ended" | "failed";

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;
/** Values that arrive together are delivered together, so that a long backlog costs one render, not thousands. */
const BATCH_MS = 40;

/** Wait before the try after `failures` failures: doubling, capped, with jitter so that many tabs do not return at once. */
export function backoff(failures: number, random: () => number): number {
  const longest = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.max(0, failures - 1));
  return longest / 2 + (longest / 2) * random();
}

/**
 * Reads a live source for as long as it lasts. When the connection drops it goes on after the last value delivered,
 * so that nothing is lost and nothing is shown twice. Returns how to stop.
 */
export function follow<T, Cursor>(options: ResumeOptions<T, Cursor>): () => void {
  const schedule = options.schedule ?? later;
  const random = options.random ?? Math.random;
  let cursor = options.start;
  let failures = 0;
  let stopped = false;
  let closeSource: () => void = () => undefined;
  let cancelTimer: () => void = () => undefined;
  let cancelBatch: (() => void) | null = null;
  let batch: T[] = [];

  function flush(): void {
    cancelBatch?.();
    cancelBatch = null;
    if (batch.length > 0) {
      const values = batch;
      batch = [];
      options.onValues(values);
    }
  }

  function finish(state: "ended" | "failed"): void {
    flush();
    stopped = true;
    closeSource();
    options.onState(state);
  }

  function open(): void {
    options.onState(failures === 0 ? "connecting" : "reconnecting");
    let over = false;
    const close = options.source(cursor, {
      next(value) {
        if (stopped || over) return;
        const following = options.advance(cursor, value);
        if (following === null) return;
        cursor = following;
        if (failures > 0 || batch.length === 0) options.onState("live");
        failures = 0;
        batch.push(value);
        cancelBatch ??= schedule(flush, BATCH_MS);
      },
      error(reason) {
        if (stopped || over) return;
        over = true;
        close?.();
        if (options.isFatal?.(reason)) {
          finish("failed");
          return;
        }
        failures += 1;
        flush();
        options.onState("reconnecting");
        cancelTimer = schedule(open, backoff(failures, random));
      },
      complete() {
        if (stopped || over) return;
        over = true;
        finish("ended");
      },
    });
    closeSource = close;
  }

  open();
  return () => {
    stopped = true;
    cancelTimer();
    cancelBatch?.();
    closeSource();
  };
}

function later(run: () => void, ms: number): () => void {
  const timer = setTimeout(run, ms);
  return () => clearTimeout(timer);
}
