/** Every address of the console. Ids are opaque and may hold characters that addresses reserve. */
const at = (folder: string) => (id: string) => `/${folder}/${encodeURIComponent(id)}`;

export const paths = {
  overview: "/",
  resources: "/resources",
  resource: at("resources"),
  policies: "/policies",
  policy: at("policies"),
  newPolicy: "/policies/create",
  editPolicy: (id: string) => `/policies/${encodeURIComponent(id)}/edit`,
  protectedData: "/protected-data",
  protectedResource: at("protected-data"),
  point: at("restore-points"),
  restoreVolumes: (pointId: string) => `/restore-points/${encodeURIComponent(pointId)}/restore-volumes`,
  restoreInstance: (pointId: string) => `/restore-points/${encodeURIComponent(pointId)}/restore-instance`,
  sessions: "/sessions",
  session: at("sessions"),
  repositories: "/repositories",
  repository: at("repositories"),
  newRepository: "/repositories/add",
  accounts: "/accounts",
  newAccount: "/accounts/add",
} as const;
