import type { AccountRegionsQuery } from "../../../api/generated";

/** Regions as options, with how many resources are known in each. */
export function regionOptions(regions: AccountRegionsQuery["regions"]) {
  return regions.map((region) => ({
    value: region.name,
    label: region.name,
    description: region.title,
    labelTag: region.resourceCount > 0 ? `${region.resourceCount} found` : undefined,
  }));
}
