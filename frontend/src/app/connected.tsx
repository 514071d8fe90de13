import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from "react";
import { Provider } from "urql";
import { createClient } from "../api/client";
import { Live } from "../api/live";
import { auth } from "./signIn";

const LiveContext = createContext<Live | null>(null);

/** The connections of one sign-in. */
export function Connected({ children }: { children: ReactNode }) {
  const client = useMemo(() => createClient(auth), []);
  const [live, setLive] = useState<Live | null>(null);
  useEffect(() => {
    const opened = new Live(auth);
    setLive(opened);
    return () => opened.close();
  }, []);
  return (
    <Provider value={client}>
      <LiveContext.Provider value={live}>{children}</LiveContext.Provider>
    </Provider>
  );
}

/** The live connection; null for the moment before it exists. */
export function useLiveConnection(): Live | null {
  return useContext(LiveContext);
}
