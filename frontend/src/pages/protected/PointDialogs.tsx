import { useState } from "react";
import Alert from "@cloudscape-design/components/alert";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import Select from "@cloudscape-design/components/select";
import {
  ArchivePointsDocument,
  ArchiveRepositoriesDocument,
  ExtendRetrievalDocument,
  RetrievePointsDocument,
  VerifyRestorePointsDocument,
  type PointRowFragment,
} from "../../api/generated";
import { fieldError } from "../../api/errors";
import { useCommand, useData } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { paths } from "../../app/paths";
import { count, list } from "../../format/text";
import { gib } from "../../format/size";
import { local } from "../../format/time";
import { STORAGE_CLASS } from "../../format/words";
import { Confirm } from "../../ui/Confirm";
import { RouterLink } from "../../ui/RouterLink";
import { daysProblem } from "./archives";
import { RetrievalFields, USUAL_RETRIEVAL } from "./RetrievalFields";

const NAMED = 8;
const KEEP_DAYS_MAX = 36_135;

interface DialogProps {
  readonly points: readonly PointRowFragment[];
  readonly onClose: () => void;
  readonly onStarted: () => void;
}

/** `web-01 and db-01`, or of one resource its moment. */
function whose(points: readonly PointRowFragment[]): string {
  const [only] = points;
  if (points.length === 1 && only) return `${only.resourceName}, ${local(only.at)}`;
  const names = [...new Set(points.map((point) => point.resourceName))];
  return names.length > NAMED ? `${list(names.slice(0, NAMED))} and ${names.length - NAMED} more` : list(names);
}

export function VerifyPoints({ points, onClose, onStarted }: DialogProps) {
  const verify = useCommand(VerifyRestorePointsDocument);
  const notifications = useNotifications();

  async function start(): Promise<void> {
    const { data } = await verify.run({ input: { ids: points.map((point) => point.id), clientMutationId: verify.key } });
    if (!data) return;
    if (data.verifyRestorePoints.session) notifications.session(data.verifyRestorePoints.session);
    onStarted();
  }

  const whole = points.reduce((sum, point) => sum + point.sizeBytes, 0);
  return (
    <Confirm
      title={`Verify ${count(points.length, "backup")}?`}
      action="Verify"
      busy={verify.busy}
      problem={verify.problem}
      onConfirm={() => void start()}
      onClose={onClose}
    >
      <div>{whose(points)}</div>
      <div>
        All data is read from the repository and compared with what was read from the volumes when the backup was made. The volumes together have a
        size of {gib(whole)}; what is empty is not read. Backups can run meanwhile.
      </div>
    </Confirm>
  );
}

export function ArchivePoints({ points, onClose, onStarted }: DialogProps) {
  const [repositoryId, setRepositoryId] = useState("");
  const [keepDays, setKeepDays] = useState("365");
  const [tried, setTried] = useState(false);
  const choices = useData(ArchiveRepositoriesDocument, {});
  const archive = useCommand(ArchivePointsDocument);
  const notifications = useNotifications();

  const options = (choices.data?.repositories.edges ?? []).map(({ node }) => ({
    value: node.id,
    label: node.name,
    description: STORAGE_CLASS[node.storageClass],
    disabled: node.state !== "AVAILABLE",
  }));
  const none = choices.data !== undefined && options.length === 0;
  const chosen = options.find((option) => option.value === repositoryId) ?? (options.length === 1 ? options[0] : undefined);
  const days = Number(keepDays);
  const wrongDays =
    Number.isInteger(days) && days >= 1 && days <= KEEP_DAYS_MAX ? undefined : `Enter a whole number from 1 to ${KEEP_DAYS_MAX.toLocaleString("en-US")} days.`;

  async function start(): Promise<void> {
    setTried(true);
    if (!chosen || wrongDays) return;
    const { data } = await archive.run({
      input: { pointIds: points.map((point) => point.id), repositoryId: chosen.value, keepDays: days, clientMutationId: archive.key },
    });
    if (!data) return;
    if (data.archivePoints.session) notifications.session(data.archivePoints.session);
    onStarted();
  }

  return (
    <Confirm
      title={`Archive ${count(points.length, "backup")}`}
      action="Archive"
      busy={archive.busy}
      disabled={none}
      problem={archive.problem}
      onConfirm={() => void start()}
      onClose={onClose}
    >
      <div>{whose(points)}</div>
      {none ? (
        <Alert type="info" header="There is no archive repository yet">
          Archives go to a repository with the storage class Glacier or Deep Archive. <RouterLink to={paths.newRepository}>Add one</RouterLink>
        </Alert>
      ) : (
        <FormField
          label="Archive repository"
          errorText={(tried && !chosen ? "Choose an archive repository." : undefined) ?? fieldError(archive.problem, "repositoryId")}
        >
          <Select
            selectedOption={chosen ?? null}
            options={options}
            placeholder="Choose a repository"
            expandToViewport
            statusType={choices.loading ? "loading" : "finished"}
            onChange={({ detail }) => setRepositoryId(detail.selectedOption.value ?? "")}
          />
        </FormField>
      )}
      <FormField
        label="Days to keep"
        description="Counted from the moment the data is of."
        errorText={(tried ? wrongDays : undefined) ?? fieldError(archive.problem, "keepDays")}
      >
        <Input type="number" inputMode="numeric" value={keepDays} disabled={none} onChange={({ detail }) => setKeepDays(detail.value)} />
      </FormField>
      <div>The data is copied from its repository; the backup stays where it is. Of data the archive has already, nothing is stored again.</div>
    </Confirm>
  );
}

export function RetrievePoints({ points, onClose, onStarted }: DialogProps) {
  const [choice, setChoice] = useState(USUAL_RETRIEVAL);
  const retrieve = useCommand(RetrievePointsDocument);
  const notifications = useNotifications();

  async function start(): Promise<void> {
    const { data } = await retrieve.run({
      input: { pointIds: points.map((point) => point.id), mode: choice.mode, days: Number(choice.days), clientMutationId: retrieve.key },
    });
    if (!data) return;
    if (data.retrievePoints.session) notifications.session(data.retrievePoints.session);
    onStarted();
  }

  return (
    <Confirm
      title={`Retrieve ${count(points.length, "archive")}`}
      action="Retrieve"
      busy={retrieve.busy}
      disabled={daysProblem(choice.days) !== undefined}
      problem={retrieve.problem}
      onConfirm={() => void start()}
      onClose={onClose}
    >
      <div>{whose(points)}</div>
      <RetrievalFields
        pointIds={points.map((point) => point.id)}
        classes={points.map((point) => point.repository?.storageClass ?? "GLACIER")}
        choice={choice}
        error={(field) => fieldError(retrieve.problem, field)}
        onChange={setChoice}
      />
    </Confirm>
  );
}

export function ExtendRetrieval({ point, onClose, onStarted }: Omit<DialogProps, "points"> & { point: PointRowFragment }) {
  const [days, setDays] = useState("1");
  const extend = useCommand(ExtendRetrievalDocument);
  const notifications = useNotifications();
  const wrong = daysProblem(days);

  async function start(): Promise<void> {
    const { data } = await extend.run({ input: { pointId: point.id, days: Number(days), clientMutationId: extend.key } });
    if (!data) return;
    if (data.extendRetrieval.session) notifications.session(data.extendRetrieval.session);
    onStarted();
  }

  const until = point.retrieval?.availableUntil;
  return (
    <Confirm
      title="Keep it readable longer"
      action="Extend"
      busy={extend.busy}
      disabled={wrong !== undefined}
      problem={extend.problem}
      onConfirm={() => void start()}
      onClose={onClose}
    >
      <div>
        {whose([point])}
        {until && <>: readable until {local(until)}.</>}
      </div>
      <FormField label="Days longer" errorText={wrong ?? fieldError(extend.problem, "days")}>
        <Input type="number" inputMode="numeric" value={days} onChange={({ detail }) => setDays(detail.value)} />
      </FormField>
    </Confirm>
  );
}
