import { size } from "../../format/size";
import type { PointDetail } from "./usePoint";

export interface DamageRow {
  readonly key: string;
  readonly disk: string;
  /** `from 1.5 GiB to 1.51 GiB`; null: all of the point. */
  readonly from: string;
  readonly to: string;
  readonly length: string;
}

/** Damaged ranges as people read them: which disk, and where on it. */
export function damageRows(damage: NonNullable<PointDetail["damage"]>, disks: PointDetail["disks"]): DamageRow[] {
  return damage.ranges.map((range, index) => {
    const disk = disks.find((each) => each.diskId === range.diskId);
    const key = `${index}`;
    if (!range.diskId) return { key, disk: "All disks", from: "–", to: "–", length: "Nothing of this restore point can be read" };
    if (disk && range.start === 0 && range.end >= disk.sizeBytes) return { key, disk: nameOf(disk), from: "–", to: "–", length: "The whole disk" };
    return { key, disk: disk ? nameOf(disk) : range.diskId, from: offset(range.start), to: offset(range.end), length: size(range.end - range.start) };
  });
}

function nameOf(disk: { device: string | null; diskId: string }): string {
  return disk.device ? `${disk.device} (${disk.diskId})` : disk.diskId;
}

function offset(bytes: number): string {
  return bytes.toLocaleString("en-US");
}
