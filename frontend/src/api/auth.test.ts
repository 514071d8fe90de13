import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Auth, SignedOut } from "./auth";

const user = { id: "u", name: "admin", role: "ADMINISTRATOR" };
const HOUR_MS = 3_600_000;

function storage() {
  const held = new Map<string, string>();
  return {
    held,
    getItem: (name: string) => held.get(name) ?? null,
    setItem: (name: string, value: string) => void held.set(name, value),
    removeItem: (name: string) => void held.delete(name),
  };
}

function answer(body: unknown): Response {
  return new Response(JSON.stringify(body), { headers: { "content-type": "application/json" } });
}

function tokens(number: number, field: string): Response {
  const pair = { accessToken: `access-${number}`, refreshToken: `refresh-${number}`, expiresIn: 3600, user };
  return answer({ data: { [field]: pair } });
}

const refused = () => answer({ errors: [{ message: "Sign in again.", extensions: { code: "UNAUTHENTICATED" } }] });

describe("Auth", () => {
  const post = vi.fn<typeof fetch>();
  let now = 0;
  let held: ReturnType<typeof storage>;
  let auth: Auth;

  beforeEach(async () => {
    vi.stubGlobal("fetch", post);
    now = 0;
    held = storage();
    auth = new Auth(held, () => now);
    post.mockResolvedValueOnce(tokens(1, "signIn"));
    expect(await auth.signIn("admin", "right")).toBeNull();
    post.mockClear();
  });
  afterEach(() => {
    post.mockReset();
    vi.unstubAllGlobals();
  });

  it("keeps the access token out of the storage", () => {
    expect(auth.tokenNow()).toBe("access-1");
    expect([...held.held.values()]).toEqual(["refresh-1"]);
  });

  it("asks for nothing while the token is good, and renews before it ends", async () => {
    expect(await auth.token()).toBe("access-1");
    expect(post).not.toHaveBeenCalled();
    now = HOUR_MS - 10_000;
    post.mockResolvedValueOnce(tokens(2, "refreshToken"));
    expect(await auth.token()).toBe("access-2");
    expect([...held.held.values()]).toEqual(["refresh-2"]);
  });

  it("renews once for all who ask at the same time", async () => {
    now = HOUR_MS;
    post.mockResolvedValueOnce(tokens(2, "refreshToken"));
    expect(await Promise.all([auth.token(), auth.token(), auth.refresh()])).toEqual(["access-2", "access-2", "access-2"]);
    expect(post).toHaveBeenCalledTimes(1);
  });

  it("signs out when the renewal is refused", async () => {
    const heard = vi.fn();
    auth.subscribe(heard);
    post.mockResolvedValueOnce(refused());
    await expect(auth.refresh()).rejects.toThrow(SignedOut);
    expect(auth.user()).toBeNull();
    expect(auth.mayResume()).toBe(false);
    expect(heard).toHaveBeenCalled();
  });

  it("stays signed in while the appliance is away for a moment", async () => {
    post.mockRejectedValueOnce(new TypeError("fetch failed"));
    await expect(auth.refresh()).rejects.not.toThrow(SignedOut);
    expect(auth.user()).not.toBeNull();
    expect(auth.mayResume()).toBe(true);
  });

  it("says what is wrong with a sign-in", async () => {
    post.mockResolvedValueOnce(
      answer({ errors: [{ message: "Wrong.", extensions: { code: "UNAUTHENTICATED", remedy: "Try again." } }] }),
    );
    expect(await auth.signIn("admin", "wrong")).toMatchObject({ message: "Wrong.", remedy: "Try again." });
  });

  it("forgets at once on signing out, and tells the server", async () => {
    post.mockResolvedValueOnce(answer({ data: { signOut: true } }));
    const leaving = auth.signOut();
    expect(auth.user()).toBeNull();
    await leaving;
    expect(post.mock.calls[0]?.[1]?.headers).toMatchObject({ authorization: "Bearer access-1" });
  });
});
