import { useState } from "react";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import SpaceBetween from "@cloudscape-design/components/space-between";
import {
  AccountsDocument,
  CheckAccountDocument,
  RemoveAccountDocument,
  type AccountOrderField,
  type AccountRowFragment,
  type AccountState,
} from "../../api/generated";
import { useCommand, useData } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { ACCOUNT_STATE } from "../../format/words";
import { ListTable, type Choice, type Column } from "../../listing/ListTable";
import type { ListShape } from "../../listing/address";
import { useListView } from "../../listing/useListView";
import { Confirm } from "../../ui/Confirm";
import { EmptyState } from "../../ui/EmptyState";
import { HealthIndicator } from "../../ui/indicators";
import { RouterButton } from "../../ui/RouterLink";
import { When } from "../../ui/When";

const shape: ListShape<AccountOrderField> = { fields: ["NAME", "CREATED_AT"], sort: "NAME", descending: false, choices: ["state"] };
const STATE: Choice = {
  name: "state",
  label: "Status",
  options: Object.entries(ACCOUNT_STATE).map(([value, label]) => ({ value, label })),
};

export default function Accounts() {
  const list = useListView(shape);
  const [selectedId, setSelectedId] = useState<string | null>(null);
  const [removing, setRemoving] = useState(false);
  const { state } = list.view.choices;
  const answer = useData(
    AccountsDocument,
    {
      first: list.size,
      offset: list.offset,
      filter: { search: list.view.search || undefined, state: state && state in ACCOUNT_STATE ? (state as AccountState) : undefined },
      order: [{ field: list.view.sort, direction: list.view.descending ? "DESC" : "ASC" }],
    },
    { live: ["account"] },
  );
  const check = useCommand(CheckAccountDocument);
  const notifications = useNotifications();
  const items = answer.data?.accounts.edges.map((edge) => edge.node) ?? [];
  const selected = items.find((account) => account.id === selectedId) ?? null;

  async function checkNow(account: AccountRowFragment): Promise<void> {
    const { data, problem } = await check.run({ input: { id: account.id } });
    const checked = data?.checkAccount.account;
    answer.refresh();
    if (problem) {
      notifications.failure(`${account.name} cannot be used`, problem);
    } else if (checked?.state === "UNAVAILABLE") {
      notifications.failure(`${account.name} cannot be used`, {
        code: "UNAVAILABLE",
        message: checked.problem ?? "The role cannot be assumed.",
        remedy: null,
        fields: {},
      });
    } else {
      notifications.success(`${account.name} works.`);
    }
  }

  return (
    <Page title="AWS accounts" contentType="table">
      <ListTable
        title="AWS accounts"
        noun="account"
        description="The accounts whose resources Holdfast protects, and the role it takes on in each."
        columns={columns}
        answer={answer}
        items={items}
        total={answer.data?.accounts.totalCount}
        list={list}
        choices={[STATE]}
        searchHint="Find by name"
        trackBy={(account) => account.id}
        nameOf={(account) => account.name}
        selection={{ type: "single", items: selected ? [selected] : [], onChange: ([item]) => setSelectedId(item?.id ?? null) }}
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <Button disabled={!selected} loading={check.busy} onClick={() => selected && void checkNow(selected)}>
              Check
            </Button>
            <Button
              disabled={!selected || selected.isHome}
              disabledReason={selected?.isHome ? "The appliance's own account cannot be removed." : undefined}
              onClick={() => setRemoving(true)}
            >
              Remove
            </Button>
            <RouterButton to={paths.newAccount} variant="primary">
              Add account
            </RouterButton>
          </SpaceBetween>
        }
        empty={
          <EmptyState title="No account" text="Add the AWS account whose resources are to be protected.">
            <RouterButton to={paths.newAccount} variant="primary">
              Add account
            </RouterButton>
          </EmptyState>
        }
      />
      {removing && selected && (
        <Remove
          account={selected}
          onClose={() => setRemoving(false)}
          onRemoved={() => {
            setRemoving(false);
            setSelectedId(null);
            answer.refresh();
          }}
        />
      )}
    </Page>
  );
}

const columns: readonly Column<AccountRowFragment>[] = [
  {
    id: "name",
    header: "Name",
    sortingField: "NAME",
    isRowHeader: true,
    minWidth: 160,
    cell: (account) => (
      <div>
        <Box variant="strong">{account.name}</Box>
        <Box color="text-body-secondary" fontSize="body-s">
          {account.awsAccountId ?? "Not known yet"}
        </Box>
      </div>
    ),
  },
  {
    id: "role",
    header: "Access",
    minWidth: 260,
    cell: (account) => (account.isHome ? "The appliance's own credentials" : <Box variant="code">{account.roleArn}</Box>),
  },
  { id: "state", header: "Status", minWidth: 130, cell: (account) => <HealthIndicator state={account.state} problem={account.problem} /> },
  { id: "checked", header: "Checked", cell: (account) => <When at={account.checkedAt} ago none="Never" /> },
  { id: "created", header: "Added", sortingField: "CREATED_AT", cell: (account) => <When at={account.createdAt} /> },
];

function Remove({ account, onClose, onRemoved }: { account: AccountRowFragment; onClose: () => void; onRemoved: () => void }) {
  const remove = useCommand(RemoveAccountDocument);
  const notifications = useNotifications();
  return (
    <Confirm
      title={`Remove ${account.name}?`}
      action="Remove"
      busy={remove.busy}
      problem={remove.problem}
      onClose={onClose}
      onConfirm={() => {
        void remove.run({ input: { id: account.id } }).then(({ problem }) => {
          if (problem) return;
          notifications.success(`Account ${account.name} is removed.`);
          onRemoved();
        });
      }}
    >
      Holdfast no longer looks into this account. Nothing is changed or deleted in AWS. While a policy or a restore point still belongs to it, it
      cannot be removed.
    </Confirm>
  );
}
