// What a person can do with a recording: each asks first, and resolves once it is done or not.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { api } from "./api.js";
import { ask, confirm } from "./dialogs.js";
import { plural } from "./format.js";
import { foreign, name } from "./markup.js";
import { notice } from "./notices.js";
import {
  hotwordsField,
  languageField,
  modelField,
  promptField,
  taskField,
} from "./option_fields.js";
import { chosenFor, speakersField, speakersOf } from "./speakers_field.js";

const pathOf = ({ id }) => `/api/recordings/${id}`;
const textOf = (form, field) => form.get(field).trim() || null;

/** Channels that are transcribed one by one are speakers already. */
const speakersFieldOf = (recording) =>
  recording.channels === "split" ? nothing : speakersField(chosenFor(recording));
const givenSpeakers = (form) => (form.has("speakers") ? speakersOf(Object.fromEntries(form)) : {});

/** Change name, priority and options; only what was changed here is sent. */
export const edit = (recording) =>
  ask(
    "Edit recording",
    html`
      <label>Name <input name="filename" required maxlength="255" autocomplete="off"
        value=${recording.filename}></label>
      <label>Priority <input name="priority" type="number" step="1" min="-1000000000"
        max="1000000000" required
        value=${recording.priority}> <small>Higher ones go first.</small></label>
      ${languageField(recording.language)} ${taskField(recording.task)}
      ${modelField(recording.model)} ${promptField(recording.prompt)}
      ${hotwordsField(recording.hotwords)} ${speakersFieldOf(recording)}
      <small>Name, priority and how many speak hold for all of it; the others for what is not
        transcribed yet. “Transcribe again” finds speakers in text that is there.</small>`,
    "Save",
    {
      save: async (form) => {
        const given = {
          filename: form.get("filename").trim(),
          priority: Number(form.get("priority")),
          language: textOf(form, "language"),
          model: textOf(form, "model"),
          task: form.get("task"),
          prompt: textOf(form, "prompt"),
          hotwords: textOf(form, "hotwords"),
          ...givenSpeakers(form),
        };
        const changed = Object.entries(given).filter(([key, value]) => value !== recording[key]);
        if (!changed.length) return;
        const body = Object.fromEntries(changed);
        if ("filename" in body) body.filename_before = recording.filename;
        await api("PATCH", pathOf(recording), { body });
        notice("Saved");
      },
    },
  );

export const transcribeAgain = async (recording) => {
  let edits = null;
  const isDone = await askToTranscribe(recording, (message) => {
    edits = message;
  });
  return edits ? dropEdits(recording, edits) : isDone;
};

/** Resolves to true once edited text may be replaced, and all of it is back in the queue. */
const dropEdits = (recording, { message, body }) =>
  confirm(
    "Replace edited text",
    html`${message} The edits stay until the new text is there, and then are gone.`,
    "Replace edited text",
    { isDangerous: true, save: () => send(recording, { ...body, drop_edits: true }) },
  );

async function send(recording, body) {
  const { chunks } = await api("POST", `${pathOf(recording)}/transcribe`, { body });
  notice(`${plural(chunks, "chunk")} put back in the queue`);
}

/** `onEdits` is called with `{message, body}` if edits would be lost; nothing is changed then. */
const askToTranscribe = (recording, onEdits) =>
  ask(
    "Transcribe again",
    html`
      <p>All of it is transcribed anew. Each part of the transcript there is now stays until its
        new text replaces it. With a model that no machine has it waits for one.</p>
      ${modelField(recording.model)} ${languageField(recording.language)}
      ${taskField(recording.task)} ${speakersFieldOf(recording)}`,
    "Transcribe again",
    {
      save: async (form) => {
        const body = {
          model: textOf(form, "model"),
          language: textOf(form, "language"),
          task: form.get("task"),
          ...givenSpeakers(form),
        };
        try {
          await send(recording, body);
        } catch (error) {
          if (error.code !== "has_edits") throw error;
          onEdits({ message: error.message, body });
        }
      },
    },
  );

/**
 * Retry a chunk in quarantine, `{id, source_id, model}`. The model that its recording asks for may
 * be why it failed, so another can be chosen. Resolves to true once the chunk is back in the queue.
 */
export const retryChunk = ({ id, source_id: source, model }) =>
  retry({ id: source, model }, () => api("POST", `/api/queue/${id}/retry`));

/** The same for all chunks in quarantine of a recording. */
export const retryFailed = (recording) =>
  retry(recording, () =>
    api("POST", "/api/queue/retry", { body: { source_id: recording.id } }),
  );

async function retry(recording, request) {
  const { model } = recording;
  const send = async () => {
    await request();
    notice("Back in the queue");
    return true;
  };
  if (!model) return send();
  return ask(
    "Retry",
    html`
      <p>The recording asks for the model ${foreign(model)}. If no machine has it, take another one,
        or leave it empty.</p>
      ${modelField(model)}`,
    "Retry",
    {
      save: async (form) => {
        const wanted = textOf(form, "model");
        if (wanted !== model)
          await api("PATCH", pathOf(recording), { body: { model: wanted } });
        await send();
      },
    },
  );
}

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
