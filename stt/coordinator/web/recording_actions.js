// What a person can do with a recording: each asks first, and resolves once it is done or not.

import { html } from "./vendor/lit-html/lit-html.js";
import { api } from "./api.js";
import { ask, confirm } from "./dialogs.js";
import { plural } from "./format.js";
import { name } from "./markup.js";
import { notice } from "./notices.js";

const pathOf = ({ id }) => `/api/recordings/${id}`;
const textOf = (form, field) => form.get(field).trim() || null;

const languageField = ({ language }) => html`
  <label>Language <input name="language" maxlength="20" value=${language ?? ""}
    placeholder="detected"></label>`;
const modelField = ({ model }) => html`
  <label>Model <input name="model" maxlength="200" value=${model ?? ""}
    placeholder="as the machines have it"></label>`;

/** Change priority, language, model and prompt; only what was changed here is sent. */
export const edit = (recording) =>
  ask(
    "Edit recording",
    html`
      <label>Priority <input name="priority" type="number" step="1" required
        value=${recording.priority}> <small>Higher ones go first.</small></label>
      ${languageField(recording)} ${modelField(recording)}
      <label>Prompt <input name="prompt" maxlength="2000" value=${recording.prompt ?? ""}>
        <small>Language, model and prompt hold for what is not transcribed yet.</small></label>`,
    "Save",
    {
      save: async (form) => {
        const given = {
          priority: Number(form.get("priority")),
          language: textOf(form, "language"),
          model: textOf(form, "model"),
          prompt: textOf(form, "prompt"),
        };
        const changed = Object.entries(given).filter(([key, value]) => value !== recording[key]);
        if (!changed.length) return;
        await api("PATCH", pathOf(recording), { body: Object.fromEntries(changed) });
        notice("Saved");
      },
    },
  );

export const transcribeAgain = (recording) =>
  ask(
    "Transcribe again",
    html`
      <p>All of it is transcribed anew. The transcript there is now is lost. A model that no
        machine has loaded sends every chunk to the quarantine.</p>
      ${modelField(recording)} ${languageField(recording)}`,
    "Transcribe again",
    {
      save: async (form) => {
        const body = { model: textOf(form, "model"), language: textOf(form, "language") };
        const { chunks } = await api("POST", `${pathOf(recording)}/transcribe`, { body });
        notice(`${plural(chunks, "chunk")} put back in the queue`);
      },
    },
  );

/** Resolves to true if the recording is gone. */
export const remove = (recording) =>
  confirm(
    "Delete recording",
    html`${name(recording.label)}, its audio and its transcript are removed from the database.
      This cannot be undone.`,
    "Delete",
    {
      isDangerous: true,
      save: async () => {
        await api("DELETE", pathOf(recording));
        notice("Deleted");
      },
    },
  );
