import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Checkbox from "@cloudscape-design/components/checkbox";
import Container from "@cloudscape-design/components/container";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import KeyValuePairs, { type KeyValuePairsProps } from "@cloudscape-design/components/key-value-pairs";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import Tiles from "@cloudscape-design/components/tiles";
import type { AccountRegionsQuery, Encryption, PolicyChoicesQuery, StorageClass, StorageKind } from "../../api/generated";
import { paths } from "../../app/paths";
import { ENCRYPTION, STORAGE_CLASS, STORAGE_KIND } from "../../format/words";
import { RouterLink } from "../../ui/RouterLink";
import { When } from "../../ui/When";
import { cannotBeUsed, type FoundFolder, type RepositoryDraft } from "./draft";
import { NewPassword } from "./NewPassword";

export interface StepProps {
  readonly draft: RepositoryDraft;
  /** What lies in the folder; null until it was looked into. */
  readonly folder: FoundFolder | null;
  readonly accounts: readonly PolicyChoicesQuery["accounts"]["edges"][number]["node"][];
  readonly accountsLoading: boolean;
  readonly regions: AccountRegionsQuery["regions"];
  readonly regionsLoading: boolean;
  readonly change: (part: Partial<RepositoryDraft>) => void;
  readonly error: (field: string) => string | undefined;
}

export function PlaceStep(props: StepProps) {
  const { draft, regions, regionsLoading, change, error } = props;
  return (
    <SpaceBetween size="l">
      <Container header={<Header variant="h2">Name</Header>}>
        <SpaceBetween size="l">
          <FormField label="Name" errorText={error("name")}>
            <Input value={draft.name} placeholder="Main backups" onChange={({ detail }) => change({ name: detail.value })} autoFocus />
          </FormField>
          <FormField label={<>Description <i>- optional</i></>} errorText={error("description")}>
            <Input value={draft.description} onChange={({ detail }) => change({ description: detail.value })} />
          </FormField>
        </SpaceBetween>
      </Container>
      <Container header={<Header variant="h2">Place</Header>}>
        <SpaceBetween size="l">
          <Tiles
            ariaLabel="Kind of storage"
            value={draft.kind}
            onChange={({ detail }) => change({ kind: detail.value as StorageKind, location: "", prefix: "" })}
            items={[
              { value: "S3", label: "S3 bucket", description: "In any of your AWS accounts; best in another account than the data." },
              { value: "LOCAL", label: "Local folder", description: "On the appliance, or on storage mounted there." },
            ]}
          />
          {draft.kind === "S3" ? (
            <>
              <AccountField {...props} description="Whose rights are used to reach the bucket." />
              <FormField label="Region" errorText={error("region")}>
                <Select
                  selectedOption={draft.region === "" ? null : { value: draft.region, label: draft.region }}
                  options={regions.map((each) => ({ value: each.name, label: each.name, description: each.title }))}
                  placeholder="Choose the bucket's Region"
                  filteringType="auto"
                  statusType={regionsLoading && draft.accountId !== "" ? "loading" : "finished"}
                  onChange={({ detail }) => change({ region: detail.selectedOption.value ?? "" })}
                />
              </FormField>
              <FormField label="Bucket" errorText={error("location")}>
                <Input value={draft.location} placeholder="example-backups" spellcheck={false} onChange={({ detail }) => change({ location: detail.value })} />
              </FormField>
              <FormField
                label={<>Folder in the bucket <i>- optional</i></>}
                constraintText="A folder without a repository gets a new one; an existing repository is imported."
                errorText={error("prefix")}
              >
                <Input value={draft.prefix} placeholder="holdfast" spellcheck={false} onChange={({ detail }) => change({ prefix: detail.value })} />
              </FormField>
            </>
          ) : (
            <FormField
              label="Folder"
              description="Beneath the folder the appliance keeps its local repositories in."
              constraintText="A folder without a repository gets a new one; an existing repository is imported."
              errorText={error("location")}
            >
              <Input value={draft.location} placeholder="main" spellcheck={false} onChange={({ detail }) => change({ location: detail.value })} />
            </FormField>
          )}
        </SpaceBetween>
      </Container>
    </SpaceBetween>
  );
}

function AccountField({ draft, accounts, accountsLoading, description, change, error }: StepProps & { description: string }) {
  const account = accounts.find((each) => each.id === draft.accountId);
  return (
    <FormField label="AWS account" description={description} errorText={error("accountId")}>
      <Select
        selectedOption={account ? { value: account.id, label: account.name } : null}
        options={accounts.map((each) => ({ value: each.id, label: each.name, description: each.awsAccountId ?? undefined }))}
        placeholder="Choose an account"
        statusType={accountsLoading ? "loading" : "finished"}
        onChange={({ detail }) => change({ accountId: detail.selectedOption.value ?? "", region: "" })}
      />
    </FormField>
  );
}

const CLASSES: readonly { value: StorageClass; description: string }[] = [
  { value: "STANDARD", description: "For backups: readable at once." },
  { value: "GLACIER", description: "For archives: readable after minutes to hours. Kept at least 90 days." },
  { value: "DEEP_ARCHIVE", description: "For archives at the lowest price: readable after 12 to 48 hours. Kept at least 180 days." },
];

export function FolderStep({ draft, folder, change, error }: StepProps) {
  if (!folder) return null;
  const importable = folder.exists && !cannotBeUsed(folder);
  return (
    <SpaceBetween size="l">
      {folder.problems.map((problem) => (
        <Alert key={problem.message} type="error" header={problem.message}>
          {problem.remedy}
        </Alert>
      ))}
      {folder.addedAs !== null && (
        <Alert type="error" header="This repository is added already">
          It can be used as it is. <RouterLink to={paths.repository(folder.addedAs)}>Show the repository</RouterLink>
        </Alert>
      )}
      {folder.warnings.map((warning) => (
        <Alert key={warning} type="warning">
          {warning}
        </Alert>
      ))}
      <Container
        header={
          <Header variant="h2" description={importable ? "Its backups are imported when it is added." : undefined}>
            What was found
          </Header>
        }
      >
        <Found folder={folder} kind={draft.kind} />
      </Container>
      {importable && folder.foreign && <TakeOver draft={draft} folder={folder} change={change} wrong={error("takeOver")} />}
      {!folder.exists && folder.problems.length === 0 && draft.kind === "S3" && (
        <Container header={<Header variant="h2" description="Cannot be changed later.">Storage class</Header>}>
          <FormField stretch errorText={error("storageClass")}>
            <Tiles
              ariaLabel="Storage class"
              columns={3}
              value={draft.storageClass}
              onChange={({ detail }) => change({ storageClass: detail.value as StorageClass })}
              items={CLASSES.map(({ value, description }) => ({ value, label: STORAGE_CLASS[value], description }))}
            />
          </FormField>
        </Container>
      )}
    </SpaceBetween>
  );
}

function Found({ folder, kind }: { folder: FoundFolder; kind: StorageKind }) {
  const state =
    folder.problems.length > 0 ? (
      <StatusIndicator type="error">Cannot be used</StatusIndicator>
    ) : folder.addedAs !== null ? (
      <StatusIndicator type="error">Added already</StatusIndicator>
    ) : folder.exists ? (
      <StatusIndicator type="info">An existing repository</StatusIndicator>
    ) : (
      <StatusIndicator type="success">Ready for a new repository</StatusIndicator>
    );
  const deletion = folder.immutable ? "Locked: nobody can delete backups before their time" : "Not locked: whoever may write there can delete";
  const items: KeyValuePairsProps.Pair[] = [
    { label: "Folder", value: <Box variant="code">{folder.url}</Box> },
    { label: "State", value: state },
    { label: "Protection from deletion", value: deletion },
  ];
  if (folder.exists) {
    items.push(
      { label: "Format version", value: folder.version === null ? "Unknown" : String(folder.version) },
      { label: "Opens with", value: folder.encryption ? ENCRYPTION[folder.encryption] : "Unknown" },
      ...(kind === "S3" ? [{ label: "Storage class", value: folder.storageClass ? STORAGE_CLASS[folder.storageClass] : "Unknown" }] : []),
      {
        label: "Written by",
        value: folder.foreign ? (
          <>
            Another appliance{folder.ownedSince && <>, since <When at={folder.ownedSince} /></>}
          </>
        ) : (
          "This appliance"
        ),
      },
    );
  }
  return <KeyValuePairs columns={3} items={items} />;
}

function TakeOver({ draft, folder, wrong, change }: { folder: FoundFolder; wrong: string | undefined } & Pick<StepProps, "draft" | "change">) {
  return (
    <Container header={<Header variant="h2">Another appliance uses this repository</Header>}>
      <SpaceBetween size="m">
        <Alert type="warning">
          Only one appliance can write to a repository. After you take it over, backups of the other one fail until it takes the repository back.
          Nothing that is stored is changed.
        </Alert>
        <div>
          The other appliance: <Box variant="code" display="inline">{folder.ownerId}</Box>
        </div>
        <FormField errorText={wrong}>
          <Checkbox checked={draft.takeOver} onChange={({ detail }) => change({ takeOver: detail.checked })}>
            This appliance takes the repository over.
          </Checkbox>
        </FormField>
      </SpaceBetween>
    </Container>
  );
}

export function EncryptionStep(props: StepProps) {
  const { draft, folder, change, error } = props;
  if (folder?.exists) return <ExistingKey {...props} />;
  const inBucket = draft.kind === "S3";
  return (
    <Container header={<Header variant="h2">Encryption</Header>}>
      <SpaceBetween size="l">
        <Tiles
          ariaLabel="Encryption"
          value={draft.encryption}
          onChange={({ detail }) => change({ encryption: detail.value as Encryption })}
          items={[
            { value: "PASSWORD", label: "A password", description: "Opens the repository anywhere, also without AWS." },
            { value: "KMS", label: "An AWS KMS key", description: "No password to keep: who may use the key decides who can open it." },
          ]}
        />
        {draft.encryption === "PASSWORD" ? (
          <>
            <NewPassword {...draft} change={change} error={error} />
            <HintField hint={draft.hint} wrong={error("hint")} onChange={(hint) => change({ hint })} />
          </>
        ) : (
          <>
            <Alert type="warning" header="Keep this key">
              Everything in the repository is encrypted with it. If the key is deleted, nobody can read the backups any more.
            </Alert>
            {!inBucket && <AccountField {...props} description="Whose rights are used to reach the key." />}
            <KeyField {...props} />
          </>
        )}
      </SpaceBetween>
    </Container>
  );
}

function ExistingKey(props: StepProps) {
  const { draft, folder, change, error } = props;
  const withKey = draft.encryption === "KMS";
  return (
    <Container
      header={
        <Header variant="h2" description={`The repository is there already: enter its current ${withKey ? "key" : "password"} to import it.`}>
          {withKey ? "Key" : "Password"}
        </Header>
      }
    >
      <SpaceBetween size="l">
        {withKey ? (
          <>
            {draft.kind === "LOCAL" && <AccountField {...props} description="Whose rights are used to reach the key." />}
            <KeyField {...props} />
          </>
        ) : (
          <FormField label="Password" description={folder?.hint ? `Hint: ${folder.hint}` : undefined} errorText={error("password")}>
            <Input type="password" value={draft.password} autoComplete="off" onChange={({ detail }) => change({ password: detail.value })} />
          </FormField>
        )}
      </SpaceBetween>
    </Container>
  );
}

function KeyField({ draft, change, error }: StepProps) {
  return (
    <FormField label="Key ARN" description="A symmetric key that the account may use, in the bucket's Region." errorText={error("kmsKey")}>
      <Input
        value={draft.kmsKey}
        placeholder="arn:aws:kms:us-east-1:111122223333:key/…"
        spellcheck={false}
        onChange={({ detail }) => change({ kmsKey: detail.value })}
      />
    </FormField>
  );
}

/** Whoever can see the folder can read the hint. */
export function HintField({ hint, wrong, onChange }: { hint: string; wrong: string | undefined; onChange: (hint: string) => void }) {
  return (
    <FormField
      label={<>Hint <i>- optional</i></>}
      description="Reminds you where the password is kept. It is stored unencrypted: never write the password itself here."
      errorText={wrong}
    >
      <Input value={hint} placeholder="Safe in the Berlin office, envelope 12" onChange={({ detail }) => onChange(detail.value)} />
    </FormField>
  );
}

export function SummaryStep({ draft, folder, accounts }: StepProps) {
  const account = accounts.find((each) => each.id === draft.accountId)?.name;
  return (
    <Container header={<Header variant="h2">What will happen</Header>}>
      <SpaceBetween size="l">
        <KeyValuePairs
          columns={3}
          items={[
            { label: "Name", value: draft.name.trim() },
            { label: "Kind", value: STORAGE_KIND[draft.kind] },
            { label: "Folder", value: <Box variant="code">{folder?.url ?? draft.location}</Box> },
            ...(draft.kind === "S3" ? [{ label: "AWS account", value: `${account ?? "Unknown"}, ${draft.region}` }] : []),
            ...(draft.kind === "S3" ? [{ label: "Storage class", value: STORAGE_CLASS[draft.storageClass] }] : []),
            { label: "Locked against deletion", value: folder?.immutable ? "Yes" : "No" },
            {
              label: "Opens with",
              value: draft.encryption === "KMS" ? <Box variant="code">{draft.kmsKey.trim()}</Box> : draft.hint.trim() ? `Password (hint: ${draft.hint.trim()})` : "Password",
            },
            ...(draft.description.trim() ? [{ label: "Description", value: draft.description.trim() }] : []),
          ]}
        />
        <ul className="hf-sentences">
          <li>
            {folder?.exists
              ? "The repository is opened, and its backups are imported. They keep the retention recorded with them."
              : "A new, empty repository is created in the folder."}
          </li>
          {draft.takeOver && <li>This appliance takes the repository over; backups of the other appliance fail from then on.</li>}
        </ul>
      </SpaceBetween>
    </Container>
  );
}
