const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** A size as people read it: `512 MiB`, `1.5 GiB`. Three significant digits, binary units. */
export function size(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  // 1023.9 MiB would be written "1024 MiB": move on to the next unit as soon as rounding reaches it.
  if (unit > 0 && unit < UNITS.length - 1 && Math.round(value) >= 1024) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${trimZeros(value.toFixed(digits))} ${UNITS[unit]}`;
}

/** A disk's size in GiB, the unit AWS sells disks in: `8 GiB`, `0.25 GiB`. */
export function gib(bytes: number): string {
  const value = bytes / 1024 ** 3;
  return `${value.toLocaleString("en-US", { maximumFractionDigits: value < 10 ? 2 : 1 })} GiB`;
}

/** Bytes per second, or nothing when no time has passed. */
export function rate(bytes: number, seconds: number): string | null {
  return seconds > 0 && bytes > 0 ? `${size(bytes / seconds)}/s` : null;
}

/** Share in whole percent, never 100 before everything is done and never 0 once something is. */
export function percent(done: number, total: number): number {
  if (total <= 0) return 0;
  if (done >= total) return 100;
  const share = Math.round((done / total) * 100);
  return Math.min(99, done > 0 ? Math.max(1, share) : 0);
}

function trimZeros(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}
