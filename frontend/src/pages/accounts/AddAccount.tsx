import { useState } from "react";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import CopyToClipboard from "@cloudscape-design/components/copy-to-clipboard";
import ExpandableSection from "@cloudscape-design/components/expandable-section";
import Form from "@cloudscape-design/components/form";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { useNavigate } from "react-router";
import { AddAccountDocument, WorkloadsDocument } from "../../api/generated";
import { fieldError } from "../../api/errors";
import { useCommand, useData } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { permissionPolicy } from "./permissionPolicy";

export default function AddAccount() {
  const [name, setName] = useState("");
  const [roleArn, setRoleArn] = useState("");
  const [externalId, setExternalId] = useState("");
  const [tried, setTried] = useState(false);
  const add = useCommand(AddAccountDocument);
  const workloads = useData(WorkloadsDocument, {});
  const notifications = useNotifications();
  const navigate = useNavigate();
  const wrong: Record<string, string> = {};
  if (name.trim() === "") wrong.name = "Give the account a name.";
  if (!/^arn:aws[a-z-]*:iam::\d{12}:role\/.+$/.test(roleArn.trim())) {
    wrong.roleArn = "Enter the role's ARN, such as arn:aws:iam::123456789012:role/HoldfastBackup.";
  }
  const error = (field: string) => (tried ? wrong[field] : undefined) ?? fieldError(add.problem, field);

  async function submit(): Promise<void> {
    setTried(true);
    if (Object.keys(wrong).length > 0) return;
    const { data } = await add.run({ input: { name: name.trim(), roleArn: roleArn.trim(), externalId: externalId.trim() || null, clientMutationId: add.key } });
    if (!data) return;
    notifications.success(`Account ${name.trim()} is added. Rescan it to find its resources.`);
    void navigate(paths.accounts);
  }

  const document = permissionPolicy(workloads.data?.workloads ?? []);
  return (
    <Page title="Add account" above={[{ text: "AWS accounts", href: paths.accounts }]} contentType="form">
      <form
        aria-label="Add account"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Form
          header={
            <Header variant="h1" description="Holdfast takes on a role in the account. No key of the account is stored.">
              Add account
            </Header>
          }
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <Button variant="link" formAction="none" onClick={() => void navigate(paths.accounts)}>
                Cancel
              </Button>
              <Button variant="primary" loading={add.busy}>
                Add account
              </Button>
            </SpaceBetween>
          }
        >
          <SpaceBetween size="l">
            {add.problem && <ProblemAlert header="The account was not added" problem={add.problem} />}
            <Container header={<Header variant="h2">Account</Header>}>
              <SpaceBetween size="l">
                <FormField label="Name" errorText={error("name")}>
                  <Input value={name} placeholder="Production" onChange={({ detail }) => setName(detail.value)} autoFocus />
                </FormField>
                <FormField label="Role ARN" description="Of a role that trusts the account this appliance runs in." errorText={error("roleArn")}>
                  <Input
                    value={roleArn}
                    placeholder="arn:aws:iam::123456789012:role/HoldfastBackup"
                    spellcheck={false}
                    onChange={({ detail }) => setRoleArn(detail.value)}
                  />
                </FormField>
                <FormField
                  label={<>External id <i>- optional</i></>}
                  description="The value the role's trust policy asks for. It is stored encrypted and not shown again."
                  errorText={error("externalId")}
                >
                  <Input value={externalId} spellcheck={false} onChange={({ detail }) => setExternalId(detail.value)} />
                </FormField>
              </SpaceBetween>
            </Container>
            <ExpandableSection
              variant="container"
              headerText="What the role must be allowed to do"
              headerDescription="Attach this IAM policy to the role."
              headerActions={
                <CopyToClipboard
                  copyButtonText="Copy"
                  copySuccessText="Copied"
                  copyErrorText="Could not copy"
                  textToCopy={document}
                />
              }
            >
              <pre className="hf-log hf-document">{document}</pre>
            </ExpandableSection>
          </SpaceBetween>
        </Form>
      </form>
    </Page>
  );
}
