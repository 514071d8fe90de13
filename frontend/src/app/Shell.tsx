import { lazy, Suspense, useEffect, useState, type ReactNode } from "react";
import AppLayoutToolbar from "@cloudscape-design/components/app-layout-toolbar";
import Box from "@cloudscape-design/components/box";
import BreadcrumbGroup from "@cloudscape-design/components/breadcrumb-group";
import { I18nProvider } from "@cloudscape-design/components/i18n";
import messages from "@cloudscape-design/components/i18n/messages/all.en";
import SideNavigation, { type SideNavigationProps } from "@cloudscape-design/components/side-navigation";
import Spinner from "@cloudscape-design/components/spinner";
import TopNavigation, { type TopNavigationProps } from "@cloudscape-design/components/top-navigation";
import { Navigate, Route, Routes, useLocation, useNavigate, useNavigationType } from "react-router";
import type { SignedInUser } from "../api/auth";
import { MeDocument, SessionsDocument } from "../api/generated";
import { useData } from "../api/useData";
import { ROLE } from "../format/words";
import { count } from "../format/text";
import { ActivityProvider } from "./activity";
import { Connected } from "./connected";
import { ErrorBoundary } from "./ErrorBoundary";
import logo from "./logo.svg";
import { NotificationProvider } from "./notifications";
import { FrameContext, type PageFrame } from "./page";
import { paths } from "./paths";
import { chooseTheme, useTheme, type Theme } from "./theme";

const Overview = lazy(() => import("../pages/overview/Overview"));
const Resources = lazy(() => import("../pages/resources/Resources"));
const ResourcePage = lazy(() => import("../pages/resources/ResourcePage"));
const Policies = lazy(() => import("../pages/policies/Policies"));
const PolicyPage = lazy(() => import("../pages/policies/PolicyPage"));
const PolicyWizard = lazy(() => import("../pages/policies/PolicyWizard"));
const Templates = lazy(() => import("../pages/templates/Templates"));
const SlaTemplatePage = lazy(() => import("../pages/templates/SlaTemplatePage"));
const StorageTemplatePage = lazy(() => import("../pages/templates/StorageTemplatePage"));
const EditSlaTemplate = lazy(() => import("../pages/templates/EditSlaTemplate"));
const EditStorageTemplate = lazy(() => import("../pages/templates/EditStorageTemplate"));
const Preferences = lazy(() => import("../pages/Preferences"));
const ProtectedData = lazy(() => import("../pages/protected/ProtectedData"));
const ProtectedResource = lazy(() => import("../pages/protected/ProtectedResource"));
const PointPage = lazy(() => import("../pages/protected/PointPage"));
const RestoreVolumes = lazy(() => import("../pages/protected/RestoreVolumes"));
const RestoreInstance = lazy(() => import("../pages/protected/RestoreInstance"));
const Sessions = lazy(() => import("../pages/sessions/Sessions"));
const SessionPage = lazy(() => import("../pages/sessions/SessionPage"));
const Repositories = lazy(() => import("../pages/repositories/Repositories"));
const RepositoryPage = lazy(() => import("../pages/repositories/RepositoryPage"));
const AddRepository = lazy(() => import("../pages/repositories/AddRepository"));
const Accounts = lazy(() => import("../pages/accounts/Accounts"));
const AddAccount = lazy(() => import("../pages/accounts/AddAccount"));
const NotFound = lazy(() => import("../pages/NotFound"));

interface ShellProps {
  readonly user: SignedInUser;
  readonly onSignOut: () => void;
}

export default function Shell(props: ShellProps) {
  return (
    <I18nProvider locale="en" messages={[messages]}>
      <Connected>
        <ActivityProvider>
          <NotificationProvider>{(notifications) => <Frame {...props} notifications={notifications} />}</NotificationProvider>
        </ActivityProvider>
      </Connected>
    </I18nProvider>
  );
}

function Frame({ user, onSignOut, notifications }: ShellProps & { notifications: ReactNode }) {
  const [frame, setFrame] = useState<PageFrame>({ crumbs: [], contentType: "default" });
  const [navigationOpen, setNavigationOpen] = useState(() => window.innerWidth > 1100);
  // A wizard has steps of its own to navigate by: the room goes to them.
  const wizard = frame.contentType === "wizard";
  const [openInWizard, setOpenInWizard] = useState(false);
  const navigate = useNavigate();
  return (
    <FrameContext.Provider value={setFrame}>
      <TopBar user={user} onSignOut={onSignOut} />
      <AppLayoutToolbar
        headerSelector="#top-nav"
        contentType={frame.contentType}
        navigation={<Navigation />}
        navigationWidth={240}
        navigationOpen={wizard ? openInWizard : navigationOpen}
        onNavigationChange={({ detail }) => (wizard ? setOpenInWizard : setNavigationOpen)(detail.open)}
        toolsHide
        stickyNotifications
        notifications={notifications}
        breadcrumbs={
          frame.crumbs.length > 0 && (
            <BreadcrumbGroup
              items={[{ text: "Holdfast", href: paths.overview }, ...frame.crumbs]}
              onFollow={(event) => {
                event.preventDefault();
                if (event.detail.href) void navigate(event.detail.href);
              }}
            />
          )
        }
        content={<Content />}
      />
    </FrameContext.Provider>
  );
}

function Content() {
  const location = useLocation();
  const how = useNavigationType();
  // A page one goes on to begins at its top; one that one comes back to is where the browser puts it.
  useEffect(() => {
    if (how === "PUSH") window.scrollTo(0, 0);
  }, [how, location.pathname]);
  return (
    <ErrorBoundary key={location.pathname}>
      <Suspense
        fallback={
          <div className="hf-centre">
            <Spinner size="large" />
          </div>
        }
      >
        <Routes>
          <Route path="/" element={<Overview />} />
          <Route path="/resources" element={<Resources />} />
          <Route path="/resources/:id" element={<ResourcePage />} />
          <Route path="/policies" element={<Policies />} />
          <Route path="/policies/create" element={<PolicyWizard />} />
          <Route path="/policies/:id" element={<PolicyPage />} />
          <Route path="/policies/:id/edit" element={<PolicyWizard />} />
          <Route path="/templates" element={<Templates />} />
          <Route path="/templates/sla/create" element={<EditSlaTemplate />} />
          <Route path="/templates/sla/:id" element={<SlaTemplatePage />} />
          <Route path="/templates/sla/:id/edit" element={<EditSlaTemplate />} />
          <Route path="/templates/storage/create" element={<EditStorageTemplate />} />
          <Route path="/templates/storage/:id" element={<StorageTemplatePage />} />
          <Route path="/templates/storage/:id/edit" element={<EditStorageTemplate />} />
          <Route path="/protected-data" element={<ProtectedData />} />
          <Route path="/protected-data/:id" element={<ProtectedResource />} />
          <Route path="/restore-points/:id" element={<PointPage />} />
          <Route path="/restore-points/:id/restore-volumes" element={<RestoreVolumes />} />
          <Route path="/restore-points/:id/restore-instance" element={<RestoreInstance />} />
          <Route path="/sessions" element={<Sessions />} />
          <Route path="/sessions/:id" element={<SessionPage />} />
          <Route path="/repositories" element={<Repositories />} />
          <Route path="/repositories/add" element={<AddRepository />} />
          <Route path="/repositories/:id" element={<RepositoryPage />} />
          <Route path="/accounts" element={<Accounts />} />
          <Route path="/accounts/add" element={<AddAccount />} />
          <Route path="/preferences" element={<Preferences />} />
          <Route path="/sign-in" element={<Navigate to="/" replace />} />
          <Route path="*" element={<NotFound />} />
        </Routes>
      </Suspense>
    </ErrorBoundary>
  );
}

const LINKS: readonly SideNavigationProps.Item[] = [
  { type: "link", text: "Overview", href: paths.overview },
  { type: "divider" },
  { type: "link", text: "Resources", href: paths.resources },
  { type: "link", text: "Policies", href: paths.policies },
  { type: "link", text: "Templates", href: paths.templates },
  { type: "link", text: "Protected data", href: paths.protectedData },
  { type: "link", text: "Sessions", href: paths.sessions },
  { type: "divider" },
  { type: "link", text: "Repositories", href: paths.repositories },
  { type: "link", text: "AWS accounts", href: paths.accounts },
  { type: "link", text: "Preferences", href: paths.preferences },
];

function Navigation() {
  const { pathname } = useLocation();
  const navigate = useNavigate();
  const folder = pathname.startsWith("/restore-points") ? paths.protectedData : `/${pathname.split("/")[1] ?? ""}`;
  const { data } = useData(MeDocument, {});
  return (
    <>
      <SideNavigation
        activeHref={folder}
        items={LINKS}
        onFollow={(event) => {
          if (event.detail.external) return;
          event.preventDefault();
          void navigate(event.detail.href);
        }}
      />
      {data && (
        <Box color="text-body-secondary" fontSize="body-s" padding={{ horizontal: "xl", vertical: "l" }}>
          Version {data.version.version}
        </Box>
      )}
    </>
  );
}

const THEMES: readonly { id: Theme; text: string }[] = [
  { id: "system", text: "As the system" },
  { id: "light", text: "Light" },
  { id: "dark", text: "Dark" },
];

function TopBar({ user, onSignOut }: ShellProps) {
  const theme = useTheme();
  const navigate = useNavigate();
  const running = useRunningCount();
  const utilities: TopNavigationProps.Utility[] = [
    {
      type: "menu-dropdown",
      iconName: "settings",
      ariaLabel: "Appearance",
      title: "Appearance",
      items: THEMES.map(({ id, text }) => ({ id, text, itemType: "checkbox", checked: theme === id })),
      onItemClick: ({ detail }) => chooseTheme(detail.id as Theme),
    },
    {
      type: "menu-dropdown",
      iconName: "user-profile",
      text: user.name,
      description: ROLE[user.role],
      items: [{ id: "sign-out", text: "Sign out" }],
      onItemClick: onSignOut,
    },
  ];
  if (running > 0) {
    const href = `${paths.sessions}?state=RUNNING`;
    utilities.unshift({
      type: "button",
      iconName: "status-in-progress",
      text: `${count(running, "session")} running`,
      href,
      onFollow: (event) => {
        event.preventDefault();
        void navigate(href);
      },
    });
  }
  return (
    <div id="top-nav">
      <TopNavigation
        identity={{
          href: "/",
          title: "Holdfast",
          logo: { src: logo, alt: "" },
          onFollow: (event) => {
            event.preventDefault();
            void navigate("/");
          },
        }}
        utilities={utilities}
      />
    </div>
  );
}

function useRunningCount(): number {
  const { data } = useData(
    SessionsDocument,
    { first: 1, filter: { state: ["PENDING", "RUNNING"] } },
    { live: ["session"], everyMs: 30_000 },
  );
  return data?.sessions.totalCount ?? 0;
}
