import { useState } from "react";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import Form from "@cloudscape-design/components/form";
import Header from "@cloudscape-design/components/header";
import RadioGroup from "@cloudscape-design/components/radio-group";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { PreferencesDocument, UpdatePreferencesDocument, type PeriodPartsFragment } from "../api/generated";
import { fieldError } from "../api/errors";
import { useCommand, useData } from "../api/useData";
import { useNotifications } from "../app/notifications";
import { Page } from "../app/page";
import { PeriodField, type PeriodDraft } from "../ui/PeriodField";
import { ProblemAlert } from "../ui/ProblemAlert";
import { Waiting } from "../ui/Waiting";

/** What holds for the whole appliance. */
export default function Preferences() {
  const answer = useData(PreferencesDocument, {}, { live: ["preferences"] });
  const kept = answer.data?.preferences.obsoleteSnapshots;
  return (
    <Page title="Preferences" contentType="form">
      {answer.problem && <ProblemAlert header="The preferences cannot be shown" problem={answer.problem} onRetry={answer.refresh} />}
      {answer.loading && <Waiting />}
      {answer.data && <Settings key={JSON.stringify(kept)} kept={kept ?? null} />}
    </Page>
  );
}

function Settings({ kept }: { kept: PeriodPartsFragment | null }) {
  const [limited, setLimited] = useState(kept !== null);
  const [period, setPeriod] = useState<PeriodDraft>({ amount: String(kept?.amount ?? 3), unit: kept?.unit ?? "MONTHS" });
  const update = useCommand(UpdatePreferencesDocument);
  const notifications = useNotifications();
  const number = Number(period.amount);
  const wrong = limited && !(Number.isInteger(number) && number > 0) ? "Enter a whole number." : undefined;

  async function save(): Promise<void> {
    if (wrong) return;
    const { problem } = await update.run({ input: { obsoleteSnapshots: limited ? { amount: number, unit: period.unit } : null } });
    if (!problem) notifications.success("The preferences are saved.");
  }

  return (
    <form
      aria-label="Preferences"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <Form
        header={
          <Header variant="h1" description="What holds for the whole appliance.">
            Preferences
          </Header>
        }
        actions={
          <Button variant="primary" loading={update.busy}>
            Save
          </Button>
        }
      >
        <SpaceBetween size="l">
          {update.problem && <ProblemAlert header="The preferences were not saved" problem={update.problem} />}
          <Container
            header={
              <Header
                variant="h2"
                description="Of instances that no policy protects any more, or whose policy was deleted. They cost money in AWS as long as they are there."
              >
                Snapshots and replicas nobody looks after
              </Header>
            }
          >
            <SpaceBetween size="m">
              <RadioGroup
                ariaLabel="Snapshots and replicas nobody looks after"
                value={limited ? "age" : "stay"}
                onChange={({ detail }) => setLimited(detail.value === "age")}
                items={[
                  { value: "stay", label: "Stay until somebody deletes them" },
                  { value: "age", label: "Are deleted when they reach an age", description: "Also in AWS, by the daily retention at 04:00. Points of protected instances are not touched." },
                ]}
              />
              {limited && (
                <div className="hf-indent">
                  <PeriodField
                    label="Delete them after"
                    value={period}
                    units={["DAYS", "MONTHS"]}
                    errorText={wrong ?? fieldError(update.problem, "obsoleteSnapshots")}
                    onChange={setPeriod}
                  />
                </div>
              )}
            </SpaceBetween>
          </Container>
        </SpaceBetween>
      </Form>
    </form>
  );
}
