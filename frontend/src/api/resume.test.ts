import { describe, expect, it } from "vitest";
import { backoff, follow, type LiveState, type Sink } from "./resume";

interface Line {
  readonly number: number;
}

/** A source under the test's control, and a clock that moves only when told to. */
function harness(isFatal?: (reason: unknown) => boolean) {
  const opened: { after: number; sink: Sink<Line>; closed: boolean }[] = [];
  const timers: { run: () => void; ms: number }[] = [];
  const seen: number[] = [];
  const states: LiveState[] = [];
  const stop = follow<Line, number>({
    source: (after, sink) => {
      const connection = { after, sink, closed: false };
      opened.push(connection);
      return () => {
        connection.closed = true;
      };
    },
    start: 0,
    advance: (cursor, line) => (line.number > cursor ? line.number : null),
    onValues: (lines) => seen.push(...lines.map((line) => line.number)),
    onState: (state) => states.push(state),
    isFatal,
    random: () => 1,
    schedule: (run, ms) => {
      const timer = { run, ms };
      timers.push(timer);
      return () => {
        timers.splice(timers.indexOf(timer), 1);
      };
    },
  });
  const runTimers = (): void => {
    for (const timer of timers.splice(0)) timer.run();
  };
  return { opened, seen, states, stop, runTimers, timers };
}

describe("follow", () => {
  it("resumes after the last line it delivered", () => {
    const test = harness();
    test.opened[0]!.sink.next({ number: 1 });
    test.opened[0]!.sink.next({ number: 2 });
    test.opened[0]!.sink.error(new Error("socket closed"));
    expect(test.seen).toEqual([1, 2]);
    test.runTimers();
    expect(test.opened[1]!.after).toBe(2);
    expect(test.opened[0]!.closed).toBe(true);
  });

  it("shows no line twice when the new connection repeats some", () => {
    const test = harness();
    [1, 2, 3].forEach((number) => test.opened[0]!.sink.next({ number }));
    test.opened[0]!.sink.error("drop");
    test.runTimers();
    [2, 3, 4].forEach((number) => test.opened[1]!.sink.next({ number }));
    test.opened[1]!.sink.complete();
    expect(test.seen).toEqual([1, 2, 3, 4]);
    expect(test.states.at(-1)).toBe("ended");
  });

  it("hears nothing more from a connection that was dropped", () => {
    const test = harness();
    test.opened[0]!.sink.error("drop");
    test.opened[0]!.sink.next({ number: 1 });
    test.opened[0]!.sink.complete();
    test.runTimers();
    expect(test.seen).toEqual([]);
    expect(test.opened).toHaveLength(2);
  });

  it("delivers a backlog in one batch", () => {
    const test = harness();
    for (let number = 1; number <= 500; number += 1) test.opened[0]!.sink.next({ number });
    expect(test.seen).toEqual([]);
    expect(test.timers).toHaveLength(1);
    test.runTimers();
    expect(test.seen).toHaveLength(500);
  });

  it("gives up when another try is pointless", () => {
    const test = harness((reason) => reason === "not found");
    test.opened[0]!.sink.error("not found");
    expect(test.states.at(-1)).toBe("failed");
    expect(test.timers).toHaveLength(0);
  });

  it("stops for good when told to", () => {
    const test = harness();
    test.opened[0]!.sink.next({ number: 1 });
    test.stop();
    test.opened[0]!.sink.next({ number: 2 });
    test.runTimers();
    expect(test.seen).toEqual([]);
    expect(test.opened[0]!.closed).toBe(true);
  });

  it("waits longer after each failure, up to a limit, and less again after success", () => {
    expect([1, 2, 3, 10, 50].map((failures) => backoff(failures, () => 1))).toEqual([500, 1000, 2000, 15000, 15000]);
    expect(backoff(1, () => 0)).toBe(250);
    const test = harness();
    test.opened[0]!.sink.error("drop");
    test.runTimers();
    test.opened[1]!.sink.next({ number: 1 });
    test.opened[1]!.sink.error("drop");
    expect(test.timers.at(-1)!.ms).toBe(500);
  });
});
