import { createContext, useContext, useEffect, type ReactNode } from "react";
import type { AppLayoutProps } from "@cloudscape-design/components/app-layout";

export interface Crumb {
  readonly text: string;
  readonly href: string;
}

export interface PageFrame {
  readonly crumbs: readonly Crumb[];
  readonly contentType: AppLayoutProps.ContentType;
}

export const FrameContext = createContext<(frame: PageFrame) => void>(() => undefined);

interface PageProps {
  readonly title: string;
  /** The pages above this one. */
  readonly above?: readonly Crumb[];
  readonly contentType?: AppLayoutProps.ContentType;
  readonly children: ReactNode;
}

/** A page tells the shell its name and place; the tab's title and the breadcrumbs follow. */
export function Page({ title, above = [], contentType = "default", children }: PageProps) {
  const frame = useContext(FrameContext);
  const trail = JSON.stringify(above);
  useEffect(() => {
    document.title = `${title} · Holdfast`;
    frame({ crumbs: [...(JSON.parse(trail) as Crumb[]), { text: title, href: "" }], contentType });
  }, [contentType, frame, title, trail]);
  return <>{children}</>;
}
