// Correct a line of a transcript. What the model wrote is kept, and can be taken back.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { api } from "./api.js";
import { ask } from "./dialogs.js";
import { foreign } from "./markup.js";
import { notice } from "./notices.js";

const MAX_CHARACTERS = 5_000;

/**
 * Resolves to true once the line is saved. `readAgain` resolves to the line as it is now: another
 * person may have changed it, which is shown before anything is replaced.
 */
export function editLine(line, readAgain) {
  let before = line.text;
  const takeBack = (event) => {
    event.target.form.elements.text.value = line.model_text;
  };
  return ask(
    "Correct the text",
    html`
      <label>Text
        <textarea name="text" rows="4" dir="auto" maxlength=${MAX_CHARACTERS}
          .value=${before}></textarea></label>
      ${
        line.model_text == null
          ? nothing
          : html`<p class="model-text">The model wrote: ${foreign(line.model_text)}
              <button type="button" class="plain" @click=${takeBack}>Take that</button></p>`
      }`,
    "Save",
    {
      save: async (form) => {
        const body = { text: form.get("text"), text_before: before };
        try {
          await api("PATCH", `/api/chunks/${line.chunk_id}/segments/${line.segment}`, { body });
        } catch (error) {
          if (error.code !== "edit_conflict") throw error;
          const now = await readAgain();
          if (!now || now.text === before) throw error;
          before = now.text;
          throw new Error(
            `Someone else has changed this line in the meantime. It says now: “${before}”. Save` +
              " again to put yours in its place, or cancel to keep theirs.",
          );
        }
        notice("Saved");
      },
    },
  );
}
