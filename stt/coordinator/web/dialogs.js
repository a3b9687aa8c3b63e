// Questions in the page's one dialog element.

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { visible } from "./visible.js";

const dialog = document.querySelector("#dialog");
let answer = null;

dialog.addEventListener("close", () => {
  if (dialog.open) return; // Another question has taken this one's place.
  const settle = answer;
  answer = null;
  render(nothing, dialog);
  // What opened it may be gone.
  if (document.activeElement === document.body) document.querySelector("#page").focus();
  settle?.(dialog.returnValue === "yes");
});
// Leaving the page by the back button answers no.
addEventListener("popstate", () => dialog.open && dialog.close());

/** Asks yes or no; resolves to true or false. `body` is text or a template. */
export const confirm = (title, body, yes, options) =>
  ask(title, html`<p>${body}</p>`, yes, options);

/**
 * Shows `fields` in a form. With `save`, an async function of the form's FormData, the dialog stays
 * open with the error's words until it succeeds. Resolves to true once it is done, else to false.
 */
export function ask(title, fields, yes, { isDangerous = false, save } = {}) {
  const submit = async (event) => {
    event.preventDefault();
    const form = event.target;
    const button = form.querySelector("[type=submit]");
    const refused = form.querySelector(".refused");
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    refused.hidden = true;
    for (const field of form.elements) field.removeAttribute("aria-invalid");
    try {
      await save?.(new FormData(form));
      dialog.close("yes");
    } catch (error) {
      refused.textContent = visible(error.message);
      refused.hidden = false;
      stand(refused, form, error.message);
    }
    button.removeAttribute("aria-busy");
  };
  draw(
    title,
    html`
    <form @submit=${submit}>
      ${fields}
      <p class="refused" role="alert" hidden></p>
      <footer>
        <button type="button" class="secondary outline" @click=${() => dialog.close()}>
          Cancel</button>
        <button type="submit" class=${isDangerous ? "danger" : ""}>${yes}</button>
      </footer>
    </form>`,
  );
  return opened();
}

/** Puts an error beside the field that it is about, whose name stands before the colon. */
function stand(refused, form, message) {
  const field = form.elements.namedItem(message.split(":", 1)[0]);
  const label = field instanceof HTMLElement && field.closest("label");
  if (!label) {
    form.querySelector("footer").before(refused);
    return;
  }
  label.after(refused);
  field.setAttribute("aria-invalid", "true");
  field.focus();
}

/** Shows something that only needs to be read; resolves when it is closed. */
export function inform(title, body) {
  draw(title, html`${body}<footer><button @click=${() => dialog.close()}>Done</button></footer>`);
  return opened();
}

function draw(title, body) {
  if (dialog.open) {
    answer?.(false);
    dialog.close();
  }
  render(html`<article><h2 id="dialog-title">${visible(title)}</h2>${body}</article>`, dialog);
}

function opened() {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    answer = resolve;
  });
}
