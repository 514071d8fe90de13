import { useState } from "react";
import Alert from "@cloudscape-design/components/alert";
import Button from "@cloudscape-design/components/button";
import Checkbox from "@cloudscape-design/components/checkbox";
import Container from "@cloudscape-design/components/container";
import Form from "@cloudscape-design/components/form";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Tiles from "@cloudscape-design/components/tiles";
import { useNavigate } from "react-router";
import { AccountRegionsDocument, AddRepositoryDocument, PolicyChoicesDocument, type StorageKind } from "../../api/generated";
import { fieldError } from "../../api/errors";
import { useCommand, useData } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { strength } from "../../format/password";
import { ProblemAlert } from "../../ui/ProblemAlert";

export default function AddRepository() {
  const [kind, setKind] = useState<StorageKind>("S3");
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const [accountId, setAccountId] = useState("");
  const [region, setRegion] = useState("");
  const [location, setLocation] = useState("");
  const [prefix, setPrefix] = useState("");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const [kept, setKept] = useState(false);
  const [tried, setTried] = useState(false);
  const choices = useData(PolicyChoicesDocument, {});
  const accounts = choices.data?.accounts.edges.map((edge) => edge.node) ?? [];
  const account = accounts.find((each) => each.id === accountId) ?? accounts.find((each) => each.isHome) ?? accounts[0];
  const regions = useData(AccountRegionsDocument, { accountId: account?.id ?? "" }, { pause: !account || kind !== "S3" });
  const add = useCommand(AddRepositoryDocument);
  const notifications = useNotifications();
  const navigate = useNavigate();

  const rating = strength(password);
  const wrong: Record<string, string> = {};
  if (name.trim() === "") wrong.name = "Give the repository a name.";
  if (location.trim() === "") wrong.location = kind === "S3" ? "Enter the bucket's name." : "Enter the folder.";
  if (kind === "S3" && region === "") wrong.region = "Choose the bucket's Region.";
  if (rating.score === 0) wrong.password = rating.advice ?? "Enter a password.";
  else if (again !== password) wrong.again = "The two passwords differ.";
  if (!kept) wrong.kept = "Confirm that the password is kept somewhere safe.";
  const error = (field: string, ...paths: string[]) => (tried ? wrong[field] : undefined) ?? fieldError(add.problem, ...paths);

  async function submit(): Promise<void> {
    setTried(true);
    if (Object.keys(wrong).length > 0) return;
    const { data } = await add.run({
      input: {
        name: name.trim(),
        description: description.trim(),
        kind,
        accountId: kind === "S3" ? account?.id : null,
        region: kind === "S3" ? region : null,
        location: location.trim(),
        prefix: kind === "S3" ? prefix.trim() : "",
        password,
        clientMutationId: add.key,
      },
    });
    if (!data) return;
    notifications.success(`Repository ${name.trim()} is added.`);
    void navigate(paths.repositories);
  }

  return (
    <Page title="Add repository" above={[{ text: "Repositories", href: paths.repositories }]} contentType="form">
      <form
        aria-label="Add repository"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Form
          header={
            <Header variant="h1" description="A new repository is created there; an existing one is opened with its password.">
              Add repository
            </Header>
          }
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <Button variant="link" formAction="none" onClick={() => void navigate(paths.repositories)}>
                Cancel
              </Button>
              <Button variant="primary" loading={add.busy}>
                Add repository
              </Button>
            </SpaceBetween>
          }
        >
          <SpaceBetween size="l">
            {add.problem && <ProblemAlert header="The repository was not added" problem={add.problem} />}
            <Container header={<Header variant="h2">Name</Header>}>
              <SpaceBetween size="l">
                <FormField label="Name" errorText={error("name", "name")}>
                  <Input value={name} placeholder="Main backups" onChange={({ detail }) => setName(detail.value)} autoFocus />
                </FormField>
                <FormField label={<>Description <i>- optional</i></>} errorText={error("description", "description")}>
                  <Input value={description} onChange={({ detail }) => setDescription(detail.value)} />
                </FormField>
              </SpaceBetween>
            </Container>
            <Container header={<Header variant="h2">Place</Header>}>
              <SpaceBetween size="l">
                <Tiles
                  ariaLabel="Kind of storage"
                  value={kind}
                  onChange={({ detail }) => {
                    setKind(detail.value as StorageKind);
                    setLocation("");
                    add.reset();
                  }}
                  items={[
                    { value: "S3", label: "S3 bucket", description: "In any of your AWS accounts; best in another account than the data." },
                    { value: "LOCAL", label: "Local folder", description: "On the appliance, or on storage mounted there." },
                  ]}
                />
                {kind === "S3" ? (
                  <>
                    <FormField label="AWS account" description="Whose rights are used to reach the bucket." errorText={error("accountId", "accountId")}>
                      <Select
                        selectedOption={account ? { value: account.id, label: account.name } : null}
                        options={accounts.map((each) => ({ value: each.id, label: each.name, description: each.awsAccountId ?? undefined }))}
                        placeholder="Choose an account"
                        statusType={choices.loading ? "loading" : "finished"}
                        onChange={({ detail }) => {
                          setAccountId(detail.selectedOption.value ?? "");
                          setRegion("");
                        }}
                      />
                    </FormField>
                    <FormField label="Region" errorText={error("region", "region")}>
                      <Select
                        selectedOption={region === "" ? null : { value: region, label: region }}
                        options={(regions.data?.regions ?? []).map((each) => ({ value: each.name, label: each.name, description: each.title }))}
                        placeholder="Choose the bucket's Region"
                        filteringType="auto"
                        statusType={regions.loading && account ? "loading" : "finished"}
                        onChange={({ detail }) => setRegion(detail.selectedOption.value ?? "")}
                      />
                    </FormField>
                    <FormField label="Bucket" errorText={error("location", "location")}>
                      <Input value={location} placeholder="example-backups" spellcheck={false} onChange={({ detail }) => setLocation(detail.value)} />
                    </FormField>
                    <FormField label={<>Folder in the bucket <i>- optional</i></>} errorText={error("prefix", "prefix")}>
                      <Input value={prefix} placeholder="holdfast" spellcheck={false} onChange={({ detail }) => setPrefix(detail.value)} />
                    </FormField>
                  </>
                ) : (
                  <FormField
                    label="Folder"
                    description="Beneath the folder the appliance keeps its local repositories in."
                    errorText={error("location", "location")}
                  >
                    <Input value={location} placeholder="main" spellcheck={false} onChange={({ detail }) => setLocation(detail.value)} />
                  </FormField>
                )}
              </SpaceBetween>
            </Container>
            <Container header={<Header variant="h2">Encryption</Header>}>
              <SpaceBetween size="l">
                <Alert type="warning" header="Keep this password safe">
                  Everything in the repository is encrypted with it. With the password and the bucket alone the data can be restored, even without
                  Holdfast; without the password nobody can, and it cannot be recovered.
                </Alert>
                <FormField
                  label="Password"
                  constraintText={password !== "" && (rating.advice ?? "For an existing repository, enter its password.")}
                  errorText={error("password", "password")}
                >
                  <SpaceBetween size="xs">
                    <Input
                      type="password"
                      value={password}
                      autoComplete="new-password"
                      onChange={({ detail }) => setPassword(detail.value)}
                    />
                    {password !== "" && <Meter score={rating.score} label={rating.label} />}
                  </SpaceBetween>
                </FormField>
                <FormField label="Password again" errorText={error("again")}>
                  <Input type="password" value={again} autoComplete="new-password" onChange={({ detail }) => setAgain(detail.value)} />
                </FormField>
                <FormField errorText={error("kept")}>
                  <Checkbox checked={kept} onChange={({ detail }) => setKept(detail.checked)}>
                    The password is kept somewhere safe, outside this appliance.
                  </Checkbox>
                </FormField>
              </SpaceBetween>
            </Container>
          </SpaceBetween>
        </Form>
      </form>
    </Page>
  );
}

function Meter({ score, label }: { score: number; label: string }) {
  return (
    <div role="status" aria-label={`Password strength: ${label}`}>
      <div className="hf-password-meter" aria-hidden="true">
        {[1, 2, 3, 4].map((step) => (
          <i key={step} data-on={score >= step ? score : undefined} />
        ))}
      </div>
      {label}
    </div>
  );
}
