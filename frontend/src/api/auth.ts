import { RefreshTokenDocument, SignInDocument, SignOutDocument, type TokensFragment } from "./generated";
import type { Problem } from "./errors";

export type SignedInUser = TokensFragment["user"];
type Listener = () => void;

/** Survives a reload of this tab, not its closing; the access token is only ever in memory. */
const STORAGE_KEY = "holdfast.refresh";
/** Renew this long before the access token ends, so that no request meets its last second. */
const EARLY_MS = 30_000;

interface Access {
  readonly token: string;
  readonly endsAt: number;
}

/** The refresh token was refused: the person must sign in again. */
export class SignedOut extends Error {}

/** Who is signed in, and their tokens. One per page; React reads it through `useSyncExternalStore`. */
export class Auth {
  private access: Access | null = null;
  private refreshing: Promise<string> | null = null;
  private readonly listeners = new Set<Listener>();
  private current: SignedInUser | null = null;

  constructor(
    private readonly storage: Pick<Storage, "getItem" | "setItem" | "removeItem">,
    private readonly now: () => number = Date.now,
    private readonly url = "/graphql",
  ) {}

  readonly subscribe = (listener: Listener): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly user = (): SignedInUser | null => this.current;

  /** True when a reload may be able to go on without asking for the password. */
  mayResume(): boolean {
    return this.storage.getItem(STORAGE_KEY) !== null;
  }

  /** A usable access token; renewed first when it is about to end. Throws SignedOut or a network error. */
  async token(): Promise<string> {
    if (this.access && this.access.endsAt - EARLY_MS > this.now()) return this.access.token;
    return this.refresh();
  }

  /** The access token as it is, for building headers without waiting. */
  tokenNow(): string | null {
    return this.access?.token ?? null;
  }

  isStale(): boolean {
    return !this.access || this.access.endsAt - EARLY_MS <= this.now();
  }

  /** One renewal at a time: the refresh token works once. */
  refresh(): Promise<string> {
    this.refreshing ??= this.renew().finally(() => {
      this.refreshing = null;
    });
    return this.refreshing;
  }

  async signIn(username: string, password: string): Promise<Problem | null> {
    const answer = await this.post(String(SignInDocument), { input: { username, password } });
    if (answer.problem) return answer.problem;
    this.accept(answer.data.signIn as TokensFragment);
    return null;
  }

  async signOut(): Promise<void> {
    const token = this.access?.token;
    this.forget();
    if (token) {
      // The tokens are already gone from this page; telling the server is best done, never waited for by the person.
      await this.post(String(SignOutDocument), {}, token).catch(() => undefined);
    }
  }

  forget(): void {
    this.access = null;
    this.current = null;
    this.storage.removeItem(STORAGE_KEY);
    this.announce();
  }

  private async renew(): Promise<string> {
    const refreshToken = this.storage.getItem(STORAGE_KEY);
    if (!refreshToken) {
      this.forget();
      throw new SignedOut("No one is signed in.");
    }
    const answer = await this.post(String(RefreshTokenDocument), { input: { refreshToken } });
    if (answer.problem) {
      if (answer.problem.code === "UNREACHABLE" || answer.problem.code === "INTERNAL") throw new Error(answer.problem.message);
      this.forget();
      throw new SignedOut(answer.problem.message);
    }
    return this.accept(answer.data.refreshToken as TokensFragment);
  }

  private accept(tokens: TokensFragment): string {
    this.access = { token: tokens.accessToken, endsAt: this.now() + tokens.expiresIn * 1000 };
    this.storage.setItem(STORAGE_KEY, tokens.refreshToken);
    this.current = tokens.user;
    this.announce();
    return tokens.accessToken;
  }

  private announce(): void {
    this.listeners.forEach((listener) => listener());
  }

  private async post(
    query: string,
    variables: Record<string, unknown>,
    token?: string,
  ): Promise<{ problem: Problem; data?: undefined } | { problem: null; data: Record<string, unknown> }> {
    let body: { data?: Record<string, unknown> | null; errors?: { message: string; extensions?: Record<string, unknown> }[] };
    try {
      const response = await fetch(this.url, {
        method: "POST",
        headers: { "content-type": "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) },
        body: JSON.stringify({ query, variables }),
      });
      body = await response.json();
    } catch {
      return {
        problem: {
          code: "UNREACHABLE",
          message: "The appliance does not answer.",
          remedy: "Check that Holdfast is running and that this computer can reach it.",
          fields: {},
        },
      };
    }
    const error = body.errors?.[0];
    if (error || !body.data) {
      const extensions = error?.extensions ?? {};
      return {
        problem: {
          code: String(extensions.code ?? "INTERNAL"),
          message: error?.message ?? "The appliance gave no answer.",
          remedy: typeof extensions.remedy === "string" ? extensions.remedy : null,
          fields: {},
        },
      };
    }
    return { problem: null, data: body.data };
  }
}
