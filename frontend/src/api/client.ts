import { authExchange } from "@urql/exchange-auth";
import { cacheExchange, Client, fetchExchange } from "urql";
import { SignedOut, type Auth } from "./auth";
import { isSignedOut } from "./errors";

/** The GraphQL client of one sign-in; a new one is made for the next, so that nothing cached outlives it. */
export function createClient(auth: Auth): Client {
  return new Client({
    url: "/graphql",
    preferGetMethod: false,
    // urql would also accept event streams; queries and mutations are better answered in one piece.
    fetchOptions: { headers: { accept: "application/graphql-response+json, application/json" } },
    requestPolicy: "cache-and-network",
    exchanges: [
      cacheExchange,
      authExchange(async (tools) => ({
        addAuthToOperation(operation) {
          const token = auth.tokenNow();
          return token ? tools.appendHeaders(operation, { authorization: `Bearer ${token}` }) : operation;
        },
        willAuthError: () => auth.isStale(),
        didAuthError: isSignedOut,
        async refreshAuth() {
          try {
            await auth.refresh();
          } catch (reason) {
            // Not signed in any more: the sign-in page is already on its way. Otherwise the appliance is away for a
            // moment, and the request that follows will say so.
            if (!(reason instanceof SignedOut)) return;
          }
        },
      })),
      fetchExchange,
    ],
  });
}
