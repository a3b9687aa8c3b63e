// A command or a file to copy.

import { html } from "./vendor/lit-html/lit-html.js";
import { notice } from "./notices.js";

/** A block of text with a button that copies it. */
export const copyable = (text) => html`
  <div class="copyable"><pre><code>${text}</code></pre>
    <button class="small outline secondary" @click=${(event) => copy(event, text)}>
      Copy</button></div>`;

/** Browsers lend the clipboard to pages over https and on this machine; elsewhere it is marked. */
async function copy(event, text) {
  const block = event.currentTarget.previousElementSibling;
  try {
    await navigator.clipboard.writeText(text);
    notice("Copied");
  } catch {
    getSelection().selectAllChildren(block);
    notice("Marked: copy it with the keyboard");
  }
}
