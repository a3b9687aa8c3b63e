// A button that opens a list of links and buttons.

import { html } from "./vendor/lit-html/lit-html.js";

const STEPS = { ArrowDown: 1, ArrowUp: -1 };

/**
 * `button`: what it shows; `label`: what it is called, if it shows no words; `items`: templates of
 * links and buttons. It closes with Escape, with a click elsewhere, and once an item is chosen.
 */
export const menu = (button, items, label = null) => html`
  <details class="dropdown" @click=${CHOOSE} @keydown=${onKey} @focusout=${onFocusOut}>
    <summary role="button" class="small ${label ? "outline secondary icon" : ""}"
      aria-label=${label ?? button} title=${label ?? ""}>${button}</summary>
    <ul>${items.map((item) => html`<li>${item}</li>`)}</ul>
  </details>`;

/** Before an item does its work: a dialog gives the focus back to what has it when it opens. */
const CHOOSE = {
  handleEvent: ({ currentTarget, target }) => {
    if (target.closest("li > *")) close(currentTarget);
  },
  capture: true,
};

function onKey(event) {
  const list = event.currentTarget;
  if (event.key === "Escape" && list.open) {
    event.preventDefault();
    close(list);
  }
  if (!(event.key in STEPS)) return;
  event.preventDefault();
  list.open = true;
  const items = [...list.querySelectorAll("li > *")];
  const to = items.indexOf(document.activeElement) + STEPS[event.key];
  items.at(to === items.length ? 0 : Math.max(to, -1)).focus();
}

function close(list) {
  list.open = false;
  list.querySelector("summary").focus();
}

function onFocusOut({ currentTarget, relatedTarget }) {
  if (relatedTarget && !currentTarget.contains(relatedTarget)) currentTarget.open = false;
}
