// What a person can do with many recordings at once: each asks first.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { api, withQuery } from "./api.js";
import { ask, confirm, inform } from "./dialogs.js";
import { number, plural } from "./format.js";
import { foreign } from "./markup.js";
import { notice, report } from "./notices.js";
import { LANGUAGES, modelField } from "./option_fields.js";
import { speakersField, speakersOf } from "./speakers_field.js";

const BATCH = 20;
const MAX_IN_ADDRESS = 200;
const MAX_NAMED = 100;
const HAS_EDITS = "has_edits";
const NONE = "none";
const FORMATS = [
  ["txt", "Text (txt)"],
  ["srt", "Subtitles (srt)"],
  ["vtt", "Subtitles for the web (vtt)"],
  ["json", "All that is known (json)"],
  ["tsv", "Table (tsv)"],
];

/** The job that runs, `{text, done, total, isStopped}`, or null; it goes on while pages change. */
export let job = null;

/** Resolves to true once the browser was given the address of a zip file. `query`: what goes in. */
export function download(count, query) {
  if ((query.id?.length ?? 0) > MAX_IN_ADDRESS) {
    notice(
      `At most ${MAX_IN_ADDRESS} that are selected one by one go into a file: select all, or fewer.`,
    );
    return false;
  }
  return ask(
    "Download transcripts",
    html`
      <p>${plural(count, "transcript")} in one zip file, each in the folder of its recording.
        What is missing in one is marked there.</p>
      <fieldset><legend>Format</legend>
        ${FORMATS.map(
          ([value, text], i) => html`
          <label><input type="radio" name="format" value=${value} ?checked=${!i}> ${text}</label>`,
        )}
      </fieldset>`,
    "Download",
    {
      save: async (form) => {
        const link = document.createElement("a");
        link.href = withQuery("/results.zip", { ...query, format: form.get("format") });
        link.download = "";
        link.click();
      },
    },
  );
}

/** Resolves to true once all are removed. `show`: called after each step. */
export async function remove(ids, show) {
  const text = html`${plural(ids.length, "recording")}, with their audio and their transcripts, are
    removed from the database. This cannot be undone.`;
  const title = `Delete ${plural(ids.length, "recording")}`;
  if (!(await confirm(title, text, "Delete", { isDangerous: true }))) return false;
  const { recordings } = await inBatches(ids, "Deleting", show, (some) =>
    api("POST", "/api/recordings/delete", { body: { ids: some } }),
  );
  if (recordings) notice(`${plural(recordings, "recording")} deleted`);
  return true;
}

/** Resolves to true once those that can be are back in the queue. `names`: by id, for messages. */
export async function transcribeAgain(ids, names, show) {
  let options = {};
  const isSure = await ask(
    `Transcribe ${plural(ids.length, "recording")} again`,
    html`
      <p>Each text there is now stays until its new one replaces it. With a model that no machine
        has they wait for one.</p>
      ${modelField(null, "as each asks for")}
      <label>Language
        <select name="language">
          <option value="">as each has it</option>
          <option value="auto">detected</option>
          ${LANGUAGES.map(([code, text]) => html`<option value=${code}>${text}</option>`)}
        </select></label>
      ${speakersField([], [["", "as each has it"], [NONE, "not told apart"]])}`,
    "Transcribe again",
    {
      save: async (form) => {
        const given = ["model", "language"].map((name) => [name, form.get(name).trim()]);
        options = Object.fromEntries(given.filter(([, value]) => value));
        if (form.get("speakers")) Object.assign(options, speakersOf(Object.fromEntries(form)));
      },
    },
  );
  if (!isSure) return false;
  const send = (some, more = {}) =>
    inBatches(some, "Putting back in the queue", show, (batch) =>
      api("POST", "/api/recordings/transcribe", { body: { ids: batch, ...options, ...more } }),
    );
  const found = await send(ids);
  if (found.recordings) notice(`${plural(found.chunks, "chunk")} put back in the queue`);
  const edited = found.unchanged.filter(({ code }) => code === HAS_EDITS).map(({ id }) => id);
  await tellUnchanged(
    found.unchanged.filter(({ code }) => code !== HAS_EDITS),
    names,
  );
  if (edited.length && (await mayDrop(edited.length))) {
    const { chunks } = await send(edited, { drop_edits: true });
    notice(`${plural(chunks, "chunk")} put back in the queue`);
  }
  return true;
}

const mayDrop = (count) =>
  confirm(
    "Edited text",
    `People have edited the text of ${plural(count, "recording")}. To transcribe them again drops
      what they wrote; else they stay as they are.`,
    "Drop the edits",
    { isDangerous: true },
  );

const tellUnchanged = (unchanged, names) =>
  unchanged.length
    ? inform(
        `${plural(unchanged.length, "recording")} left as they are`,
        html`<ul class="unchanged">${unchanged.slice(0, MAX_NAMED).map(
          ({ id, message }) => html`
          <li><strong>${foreign(names.get(id) ?? id)}</strong> ${foreign(message)}</li>`,
        )}</ul>${
          unchanged.length > MAX_NAMED
            ? html`<p>… and ${number(unchanged.length - MAX_NAMED)} more</p>`
            : nothing
        }`,
      )
    : undefined;

/** Change recordings a few at a time, until it is stopped or fails; return the sums. */
async function inBatches(ids, text, show, change) {
  const mine = { text, done: 0, total: ids.length, isStopped: false };
  const sums = { recordings: 0, chunks: 0, unchanged: [] };
  job = mine;
  show();
  try {
    for (let at = 0; at < ids.length && !mine.isStopped; at += BATCH) {
      const found = await change(ids.slice(at, at + BATCH));
      sums.recordings += found.recordings;
      sums.chunks += found.chunks;
      sums.unchanged.push(...found.unchanged);
      mine.done = Math.min(at + BATCH, ids.length);
      show();
    }
  } catch (error) {
    report(error);
  } finally {
    job = null;
    show();
  }
  return sums;
}
