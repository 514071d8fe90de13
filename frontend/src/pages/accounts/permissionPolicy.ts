interface Workload {
  readonly kind: string;
  readonly permissions: readonly { readonly name: string; readonly actions: readonly string[] }[];
}

/** The IAM policy a role needs: one statement for each capability of each workload. */
export function permissionPolicy(workloads: readonly Workload[]): string {
  const statements = workloads.flatMap((workload) =>
    workload.permissions.map((capability) => ({
      Sid: sid(`${workload.kind} ${capability.name}`),
      Effect: "Allow",
      Action: [...capability.actions].sort(),
      Resource: "*",
    })),
  );
  return JSON.stringify({ Version: "2012-10-17", Statement: statements }, null, 2);
}

/** IAM takes letters and digits only. */
function sid(text: string): string {
  return text
    .split(/[^A-Za-z0-9]+/)
    .filter(Boolean)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join("");
}
