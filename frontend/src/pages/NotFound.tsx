import Alert from "@cloudscape-design/components/alert";
import { Page } from "../app/page";
import { paths } from "../app/paths";
import { RouterButton } from "../ui/RouterLink";

/** For an address that is no page, and for a thing that is no more. */
export default function NotFound({ what = "page" }: { what?: string }) {
  return (
    <Page title="Not found">
      <Alert header={`There is no such ${what}`} action={<RouterButton to={paths.overview}>Go to the overview</RouterButton>}>
        It may have been removed, or the link is incomplete.
      </Alert>
    </Page>
  );
}
