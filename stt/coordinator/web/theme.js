// Light, dark, or as the system has it. login/theme.js sets what is remembered before anything is
// drawn.

const NAME = "stt-theme";
const NEXT = { system: "light", light: "dark", dark: "system" };
const root = document.documentElement;
const listeners = new Set();

/** "light", "dark" or "system". */
export const theme = () => root.dataset.theme ?? "system";

/** Goes on to the next theme, remembers it, and returns it. */
export function nextTheme() {
  const next = NEXT[theme()];
  if (next === "system") delete root.dataset.theme;
  else root.dataset.theme = next;
  try {
    if (next === "system") localStorage.removeItem(NAME);
    else localStorage.setItem(NAME, next);
  } catch {
    // A browser that forbids storage forgets it with the page.
  }
  for (const listener of listeners) listener();
  return next;
}

/** Calls `listener` when the colours change, until `signal` is aborted. */
export function onThemeChange(listener, signal) {
  listeners.add(listener);
  signal.addEventListener("abort", () => listeners.delete(listener));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", listener, { signal });
}
