import { useEffect, useRef, useState, type FormEvent } from "react";
import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import Form from "@cloudscape-design/components/form";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input, { type InputProps } from "@cloudscape-design/components/input";
import SpaceBetween from "@cloudscape-design/components/space-between";
import type { Auth } from "../api/auth";
import type { Problem } from "../api/errors";
import { Brand } from "../app/Splash";

export default function SignIn({ auth }: { auth: Auth }) {
  const [username, setUsername] = useState("admin");
  const [password, setPassword] = useState("");
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const passwordField = useRef<InputProps.Ref>(null);
  useEffect(() => {
    document.title = "Sign in · Holdfast";
    passwordField.current?.focus();
  }, []);

  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    const refused = await auth.signIn(username.trim(), password);
    setBusy(false);
    setProblem(refused);
    if (refused) {
      setPassword("");
      passwordField.current?.focus();
    }
  }

  return (
    <main className="hf-sign-in">
      <div>
        <Brand />
        <form onSubmit={(event) => void submit(event)} aria-label="Sign in">
          <Container header={<Header variant="h1">Sign in</Header>}>
            <Form
              actions={
                <Button variant="primary" formAction="submit" loading={busy} loadingText="Signing in" disabled={!username || !password}>
                  Sign in
                </Button>
              }
            >
              <SpaceBetween size="l">
                {problem && (
                  <Alert type="error" header={problem.message}>
                    {problem.remedy}
                  </Alert>
                )}
                <FormField label="User name">
                  <Input
                    value={username}
                    onChange={({ detail }) => setUsername(detail.value)}
                    autoComplete="username"
                    name="username"
                    spellcheck={false}
                  />
                </FormField>
                <FormField label="Password">
                  <Input
                    ref={passwordField}
                    type="password"
                    value={password}
                    onChange={({ detail }) => setPassword(detail.value)}
                    autoComplete="current-password"
                    name="password"
                  />
                </FormField>
              </SpaceBetween>
            </Form>
          </Container>
        </form>
        <Box textAlign="center" color="text-body-secondary" padding={{ top: "l" }}>
          The first password is in the file <Box variant="code">initial-password</Box> of the appliance&rsquo;s data folder.
        </Box>
      </div>
    </main>
  );
}
