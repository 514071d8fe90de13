import { lazy, Suspense } from "react";
import { useSignIn } from "./signIn";
import { Splash } from "./Splash";

const SignIn = lazy(() => import("../pages/SignIn"));
const Shell = lazy(() => import("./Shell"));

/**
 * The sign-in page takes the place of whatever address is open, and gives it back: no redirect, so nobody loses
 * the view they came for.
 */
export function App() {
  const { phase, user, auth } = useSignIn();
  return (
    <Suspense fallback={<Splash />}>
      {phase === "resuming" && <Splash />}
      {phase === "away" && <Splash text="The appliance does not answer. Trying again…" />}
      {phase === "signed-out" && <SignIn auth={auth} />}
      {phase === "signed-in" && user && <Shell user={user} onSignOut={() => void auth.signOut()} />}
    </Suspense>
  );
}
