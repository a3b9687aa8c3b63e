// Start: files in, what waits for whom, and the latest recordings.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { api } from "../api.js";
import { recordingProgress, recordingState } from "../chunk_states.js";
import { length, plural } from "../format.js";
import { follow } from "../live.js";
import { badge, name, since } from "../markup.js";
import { queueNotes } from "../queue_notes.js";
import { loader, onQueueChange } from "../reloading.js";
import { takeChosen, uploadRules } from "../upload_intake.js";

const LATEST = 8;

export function open(page) {
  let { status = null, recordings = null, total = 0 } = page.kept;
  let suffixes = [];
  page.keep(() => ({ status, recordings, total }));

  const draw = () =>
    page.draw(html`
    <h1>Start</h1>
    <div class="dropzone">
      <p><strong>Drop recordings here</strong> or
        <button type="button" class="pick"
          @click=${() => document.querySelector("#files").click()}>Choose files</button>
        <input id="files" hidden type="file" multiple
               accept=${["audio/*", "video/*", ...suffixes].join()} @change=${choose}></p>
      <small><a href="/upload">Options and folders</a></small>
    </div>
    ${status === null ? nothing : queueNotes(status)}
    <section>
      <div class="heading">
        <h2>Latest recordings</h2>
        ${total > LATEST ? html`<a href="/recordings">All ${plural(total, "recording")}</a>` : nothing}
      </div>
      ${latest()}
    </section>`);

  const latest = () => {
    if (recordings === null) return html`<p aria-busy="true">Loading</p>`;
    if (!recordings.length)
      return html`<p class="empty">
        Nothing here yet: what you drop above shows here, and its text as it is transcribed.</p>`;
    return html`<ul class="plain-list latest">${repeat(recordings, ({ id }) => id, row)}</ul>`;
  };

  const row = (recording) => {
    const state = recordingState(recording);
    return html`
      <li>
        <div class="line-up">
          <a href="/recordings/${recording.id}">${name(recording.label)}</a>
          ${badge(state)}
        </div>
        <small>${recording.duration == null ? nothing : length(recording.duration)}${
          recording.duration == null || !recording.created_at ? nothing : " · "
        }${recording.created_at ? html`added ${since(recording.created_at)}` : nothing}</small>
        ${state === "done" ? nothing : recordingProgress(recording)}
      </li>`;
  };

  const choose = ({ target }) => page.attempt(() => takeChosen(target, page.go));

  follow(
    "status",
    (update) => {
      status = update;
      draw();
    },
    page.signal,
  );
  onQueueChange(async () => {
    const query = { limit: LATEST };
    ({ recordings, total } = await api("GET", "/api/recordings", { query, signal: page.signal }));
    draw();
    page.place();
  }, page.signal);
  loader(async () => {
    ({ suffixes } = await uploadRules());
    draw();
  }, page.signal)();
  draw();
}
