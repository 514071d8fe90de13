export interface Strength {
  /** 0 unusable … 4 strong. */
  readonly score: 0 | 1 | 2 | 3 | 4;
  readonly label: string;
  readonly advice: string | null;
}

const LABELS = ["Too short", "Weak", "Fair", "Good", "Strong"] as const;
export const PASSWORD_MIN = 12;

/**
 * How hard a repository password is to guess, from length, variety and repetition.
 *
 * The password protects a copy of every disk, and an attacker with the bucket may guess at leisure: length counts most.
 */
export function strength(password: string): Strength {
  if (password.length < PASSWORD_MIN) {
    return { score: 0, label: LABELS[0], advice: `Use at least ${PASSWORD_MIN} characters.` };
  }
  const bits = password.length * Math.log2(alphabet(password)) * variety(password);
  const score = bits < 45 ? 1 : bits < 60 ? 2 : bits < 80 ? 3 : 4;
  return {
    score,
    label: LABELS[score],
    advice: score < 3 ? "A few unrelated words, or more characters of different kinds, are harder to guess." : null,
  };
}

function alphabet(password: string): number {
  const classes: [RegExp, number][] = [
    [/[a-z]/, 26],
    [/[A-Z]/, 26],
    [/[0-9]/, 10],
    [/[^a-zA-Z0-9]/, 33],
  ];
  return classes.reduce((sum, [pattern, letters]) => sum + (pattern.test(password) ? letters : 0), 0);
}

/** Share of distinct characters, and less for runs such as `aaaa` or `1234`. */
function variety(password: string): number {
  const distinct = new Set(password).size / Math.min(password.length, 20);
  let runs = 0;
  for (let index = 1; index < password.length; index += 1) {
    const step = password.charCodeAt(index) - password.charCodeAt(index - 1);
    if (step === 0 || step === 1 || step === -1) runs += 1;
  }
  return Math.min(1, distinct) * (1 - runs / password.length);
}
