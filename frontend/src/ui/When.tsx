import { useEffect, useState } from "react";
import { duration, elapsed, local, relative, utc } from "../format/time";

/** A moment in the reader's zone; UTC on hover. */
export function When({ at, ago = false, none = "–" }: { at: string | null | undefined; ago?: boolean; none?: string }) {
  const now = useNow(ago ? 20_000 : null);
  if (!at) return <>{none}</>;
  return (
    <time dateTime={at} title={ago ? `${local(at)} · ${utc(at)}` : utc(at)} className="hf-nowrap">
      {ago ? relative(at, now) : local(at)}
    </time>
  );
}

/** How long from one moment to another; counts on while the second is open. */
export function Took({ from, to }: { from: string | null | undefined; to: string | null | undefined }) {
  const now = useNow(from && !to ? 1_000 : null);
  const seconds = elapsed(from, to, now);
  return <span className="hf-number">{seconds === null ? "–" : duration(seconds)}</span>;
}

/** The time, renewed every so often; null: only when something else renders. */
export function useNow(everyMs: number | null): number {
  const [, tick] = useState(0);
  useEffect(() => {
    if (everyMs === null) return undefined;
    const timer = window.setInterval(() => tick((count) => count + 1), everyMs);
    return () => window.clearInterval(timer);
  }, [everyMs]);
  return Date.now();
}
