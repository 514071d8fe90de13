import type { EstimateRetrievalQuery, PointRowFragment, RetrievalMode, StorageClass } from "../../api/generated";

export type Estimate = EstimateRetrievalQuery["estimateRetrieval"];

export const DAYS_MAX = 365;

export interface ModeChoice {
  readonly value: RetrievalMode;
  readonly description: string;
}

const GLACIER_MODES: readonly ModeChoice[] = [
  { value: "EXPEDITED", description: "1 to 5 minutes. The most expensive." },
  { value: "STANDARD", description: "3 to 5 hours." },
  { value: "BULK", description: "5 to 12 hours. The cheapest." },
];
const DEEP_MODES: readonly ModeChoice[] = [
  { value: "STANDARD", description: "Within 12 hours." },
  { value: "BULK", description: "Within 48 hours. The cheapest." },
];

/** How data of these classes can be retrieved. */
export function modesOf(classes: readonly StorageClass[]): readonly ModeChoice[] {
  return classes.includes("DEEP_ARCHIVE") ? DEEP_MODES : GLACIER_MODES;
}

/** An archived point whose data cannot be read now: a restore retrieves it first. */
export function needsRetrieval(point: Pick<PointRowFragment, "leg" | "retrieval">): boolean {
  return point.leg === "ARCHIVE" && point.retrieval?.state !== "AVAILABLE";
}

/** Sentence when the days make no sense. */
export function daysProblem(days: string): string | undefined {
  const number = Number(days);
  if (days.trim() !== "" && Number.isInteger(number) && number >= 1 && number <= DAYS_MAX) return undefined;
  return `Enter a whole number from 1 to ${DAYS_MAX} days.`;
}

/** What several retrievals take and cost together. */
export function together(estimates: readonly Estimate[]): Estimate | null {
  const [first] = estimates;
  if (!first) return null;
  const sum = (read: (estimate: Estimate) => number): number => estimates.reduce((total, estimate) => total + read(estimate), 0);
  const latest = estimates.reduce((one, other) => (Date.parse(other.readyBy) > Date.parse(one.readyBy) ? other : one));
  return {
    ...first,
    packs: sum((estimate) => estimate.packs),
    sizeBytes: sum((estimate) => estimate.sizeBytes),
    readableBytes: sum((estimate) => estimate.readableBytes),
    usd: sum((estimate) => estimate.usd),
    usdRetrieval: sum((estimate) => estimate.usdRetrieval),
    usdRequests: sum((estimate) => estimate.usdRequests),
    usdCopies: sum((estimate) => estimate.usdCopies),
    readyFrom: latest.readyFrom,
    readyBy: latest.readyBy,
    exactRegion: estimates.every((estimate) => estimate.exactRegion),
  };
}

export type PointAction = "verify" | "archive" | "retrieve" | "extend";

/** Why an action cannot be done with the selected points; null when it can. */
export function refusal(action: PointAction, points: readonly PointRowFragment[]): string | null {
  if (points.length === 0) return "Select restore points first.";
  switch (action) {
    case "verify":
      return points.every((point) => point.leg === "BACKUP" && point.repository?.storageClass === "STANDARD") ? null : "Only backups can be verified.";
    case "archive":
      if (!points.every((point) => point.leg === "BACKUP")) return "Only backups can be archived.";
      return points.every((point) => point.health === "HEALTHY") ? null : "An incomplete backup is not archived.";
    case "retrieve":
      if (!points.every((point) => point.leg === "ARCHIVE")) return "Only archives need to be retrieved.";
      if (points.some((point) => point.retrieval?.state === "REQUESTED")) return "It is being retrieved already.";
      return points.every(needsRetrieval) ? null : "It is readable already: extend it to keep it longer.";
    case "extend":
      if (points.length > 1) return "One at a time.";
      return points[0]?.leg === "ARCHIVE" && points[0].retrieval?.state === "AVAILABLE" ? null : "Only an archive that is readable now can be kept longer.";
  }
}
