// Keys that work wherever the focus is, and the list of them.

import { html } from "./vendor/lit-html/lit-html.js";
import { inform } from "./dialogs.js";

const NAMES = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };
const SWITCHES = "input:is([type=checkbox], [type=radio], [type=range])";
const FIELDS = "input, textarea, select, audio, video, [contenteditable]";
const BUTTONS = "button, summary, [role=button]:not(.line)";
const OFF = "stt-no-character-keys";
const keys = new Map();

/**
 * Call `work` when `key` is pressed, until `signal` is aborted: not in a field, not in a dialog, and
 * not with Ctrl, Alt or Meta. It returns false to leave the key to the browser. Without `work` the
 * key is only listed, with `words`.
 */
export function onKey(key, words, work, signal) {
  keys.set(key, { words, work });
  signal?.addEventListener("abort", () => keys.delete(key));
}

/** Show all keys of this page. For speech input, those of a single character can be turned off. */
export const showKeys = () =>
  inform(
    "Keyboard shortcuts",
    html`
      <dl class="keys">${[...keys].map(
        ([key, { words }]) => html`
        <div><dt><kbd>${NAMES[key] ?? key}</kbd></dt><dd>${words}</dd></div>`,
      )}</dl>
      <label><input type="checkbox" role="switch" .checked=${!isOff()} @change=${turn}>
        Shortcuts of a single character, such as <kbd>/</kbd> and <kbd>?</kbd></label>`,
  );

const isCharacter = (key) => key.length === 1 && key !== " ";

function isOff() {
  try {
    return localStorage.getItem(OFF) !== null;
  } catch {
    return false; // A browser that forbids storage.
  }
}

function turn({ target }) {
  try {
    if (target.checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "1");
  } catch {
    target.checked = true;
  }
}

/** Whether the key belongs to the field that has the focus; a switch takes no characters. */
const isTypedInto = (target, key) =>
  target.closest?.(FIELDS) && !(isCharacter(key) && target.matches(SWITCHES));

addEventListener("keydown", (event) => {
  const { key, target, ctrlKey, altKey, metaKey, shiftKey } = event;
  const known = keys.get(key);
  if (!known?.work || event.defaultPrevented || event.isComposing) return;
  if (ctrlKey || altKey || metaKey || (shiftKey && !isCharacter(key))) return;
  if (document.querySelector("dialog[open]") || isTypedInto(target, key)) return;
  if (key === " " && target.closest?.(BUTTONS)) return;
  if (isCharacter(key) && isOff()) return;
  if (known.work() !== false) event.preventDefault();
});
