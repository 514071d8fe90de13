import type { ReactNode } from "react";
import Button, { type ButtonProps } from "@cloudscape-design/components/button";
import Link, { type LinkProps } from "@cloudscape-design/components/link";
import { useNavigate } from "react-router";

/** A link inside the console: a real address, followed without a reload. */
export function RouterLink({ to, children, ...rest }: { to: string; children: ReactNode } & Omit<LinkProps, "href" | "onFollow">) {
  const navigate = useNavigate();
  return (
    <Link
      {...rest}
      href={to}
      onFollow={(event) => {
        event.preventDefault();
        void navigate(to);
      }}
    >
      {children}
    </Link>
  );
}

/** A button that leads to another page. */
export function RouterButton({ to, children, ...rest }: { to: string; children: ReactNode } & Omit<ButtonProps, "href" | "onFollow">) {
  const navigate = useNavigate();
  return (
    <Button
      {...rest}
      href={to}
      onFollow={(event) => {
        event.preventDefault();
        void navigate(to);
      }}
    >
      {children}
    </Button>
  );
}
