import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";

const STORAGE_KEY = "holdfast.theme";
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();
let chosen: Theme = stored();

function stored(): Theme {
  const value = localStorage.getItem(STORAGE_KEY);
  return value === "light" || value === "dark" ? value : "system";
}

function paint(): void {
  const isDark = chosen === "dark" || (chosen === "system" && dark.matches);
  document.body.classList.toggle("awsui-dark-mode", isDark);
  document.body.classList.toggle("hf-light", !isDark);
}

/** Follows the system until the person chooses, then keeps the choice. */
export function startTheme(): void {
  paint();
  dark.addEventListener("change", paint);
}

export function chooseTheme(theme: Theme): void {
  chosen = theme;
  if (theme === "system") localStorage.removeItem(STORAGE_KEY);
  else localStorage.setItem(STORAGE_KEY, theme);
  paint();
  listeners.forEach((listener) => listener());
}

export function useTheme(): Theme {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => chosen,
  );
}
