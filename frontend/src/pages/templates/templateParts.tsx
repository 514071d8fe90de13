import Box from "@cloudscape-design/components/box";
import type { TermsPartsFragment } from "../../api/generated";
import { paths } from "../../app/paths";
import { LegName } from "../../ui/LegName";
import { RouterLink } from "../../ui/RouterLink";
import { stepPhrase } from "./termsWords";

/** The policies that follow a template, each with its page. */
export function UsedBy({ policies }: { policies: readonly { readonly id: string; readonly name: string }[] }) {
  if (policies.length === 0) return <Box color="text-body-secondary">No policy</Box>;
  return (
    <div>
      {policies.map((policy) => (
        <div key={policy.id}>
          <RouterLink to={paths.policy(policy.id)}>{policy.name}</RouterLink>
        </div>
      ))}
    </div>
  );
}

/** Which restore points are promised, in short. */
export function legsPromised(terms: TermsPartsFragment) {
  const often = (plan: TermsPartsFragment["snapshot"]): string =>
    plan.daily ? `, ${stepPhrase(plan.daily.everyMinutes)}` : plan.weekly ? ", weekly" : plan.monthly ? ", monthly" : "";
  const { daily, weekly, monthly } = terms.snapshot;
  return (
    <div className="hf-legend-row">
      {(daily || weekly || monthly) && <LegName leg="SNAPSHOT">{`Snapshots${often(terms.snapshot)}`}</LegName>}
      {terms.replica && <LegName leg="REPLICA">Replicas</LegName>}
      {terms.backup && <LegName leg="BACKUP">{`Backups${often(terms.backup)}`}</LegName>}
      {terms.archive && <LegName leg="ARCHIVE">Archives</LegName>}
    </div>
  );
}
