import type { OverviewQuery } from "../../api/generated";
import { paths } from "../../app/paths";
import { count } from "../../format/text";

export interface Concern {
  readonly key: string;
  readonly level: "error" | "warning" | "info";
  readonly text: string;
  readonly action: string;
  readonly to: string;
}

/** What a person should look at, worst first. */
export function concerns(data: OverviewQuery): Concern[] {
  const { overview } = data;
  const found: Concern[] = [];
  const failed = data.failed.edges.length;
  if (failed > 0) {
    const [first] = data.failed.edges;
    found.push({
      key: "failed",
      level: "error",
      text:
        failed === 1 && first
          ? `Session “${first.node.name}” failed in the last day.`
          : `${data.failed.pageInfo.hasNextPage ? "More than " : ""}${count(failed, "session")} failed in the last day.`,
      action: failed === 1 ? "Show the log" : "Show them",
      to: failed === 1 && first ? paths.session(first.node.id) : `${paths.sessions}?state=ERROR`,
    });
  }
  for (const { node } of data.repositories.edges) {
    if (node.state === "UNAVAILABLE") {
      found.push({
        key: node.id,
        level: "error",
        text: `Repository ${node.name} cannot be reached. ${node.problem ?? ""}`.trim(),
        action: "Show repository",
        to: paths.repository(node.id),
      });
    }
  }
  for (const { node } of data.repositories.edges) {
    if (node.incompletePointCount > 0) {
      found.push({
        key: `incomplete-${node.id}`,
        level: "error",
        text: `${count(node.incompletePointCount, "backup")} in repository ${node.name} ${node.incompletePointCount === 1 ? "is" : "are"} incomplete.`,
        action: "Show damage",
        to: `${paths.repository(node.id)}?health=INCOMPLETE`,
      });
    }
  }
  for (const { node } of data.accounts.edges) {
    if (node.state === "UNAVAILABLE") {
      found.push({
        key: node.id,
        level: "error",
        text: `AWS account ${node.name} cannot be used. ${node.problem ?? ""}`.trim(),
        action: "Show accounts",
        to: paths.accounts,
      });
    }
  }
  return [...found, ...firstSteps(overview), ...gaps(data)];
}

function firstSteps(overview: OverviewQuery["overview"]): Concern[] {
  if (overview.resourceCount === 0) {
    return [
      {
        key: "rescan",
        level: "info",
        text: "No resource is known yet: rescan your AWS account to find what can be protected.",
        action: "Go to resources",
        to: paths.resources,
      },
    ];
  }
  if (overview.repositoryCount === 0) {
    return [
      {
        key: "repository",
        level: "info",
        text: "There is no repository yet. Snapshots work without one; backups need a bucket or folder to be written to.",
        action: "Add a repository",
        to: paths.newRepository,
      },
    ];
  }
  if (overview.policyCount === 0) {
    return [
      {
        key: "policy",
        level: "info",
        text: "Nothing is protected yet: a policy says what is backed up, when, and how long it is kept.",
        action: "Create a policy",
        to: paths.newPolicy,
      },
    ];
  }
  return [];
}

function gaps(data: OverviewQuery): Concern[] {
  const { overview } = data;
  const open = overview.resourceCount - overview.protectedCount;
  const found: Concern[] = [];
  if (open > 0 && overview.policyCount > 0) {
    found.push({
      key: "unprotected",
      level: "warning",
      text: `${count(open, "resource")} ${open === 1 ? "is" : "are"} not covered by any policy.`,
      action: "Show them",
      to: `${paths.resources}?protection=UNPROTECTED`,
    });
  }
  for (const { node } of data.policies.edges) {
    if (node.resourceCount === 0) {
      found.push({
        key: node.id,
        level: "warning",
        text: `Policy ${node.name} covers no resource at the moment.`,
        action: "Show policy",
        to: paths.policy(node.id),
      });
    }
  }
  return found;
}
