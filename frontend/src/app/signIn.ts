import { useEffect, useState, useSyncExternalStore } from "react";
import { Auth, SignedOut, type SignedInUser } from "../api/auth";

export const auth = new Auth(window.sessionStorage);

export type Phase = "resuming" | "away" | "signed-out" | "signed-in";

/** Where sign-in stands. A reload tries to go on by the stored refresh token before anyone is asked for a password. */
export function useSignIn(): { phase: Phase; user: SignedInUser | null; auth: Auth } {
  const user = useSyncExternalStore(auth.subscribe, auth.user);
  const [resume, setResume] = useState<"trying" | "away" | "done">(auth.mayResume() ? "trying" : "done");
  useEffect(() => {
    if (resume === "done") return undefined;
    let stopped = false;
    let timer = 0;
    const attempt = (): void => {
      auth.refresh().then(
        () => !stopped && setResume("done"),
        (reason: unknown) => {
          if (stopped) return;
          if (reason instanceof SignedOut) {
            setResume("done");
          } else {
            setResume("away");
            timer = window.setTimeout(attempt, 3000);
          }
        },
      );
    };
    attempt();
    return () => {
      stopped = true;
      window.clearTimeout(timer);
    };
    // Runs once per page load: later renewals happen where requests are made.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);
  const phase: Phase = user ? "signed-in" : resume === "trying" ? "resuming" : resume === "away" ? "away" : "signed-out";
  return { phase, user, auth };
}
