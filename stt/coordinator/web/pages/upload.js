// Upload: files in, and what becomes of them: transfer, preparation, transcription.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { api } from "../api.js";
import { bytes, number } from "../format.js";
import { follow, refresh } from "../live.js";
import {
  hotwordsField,
  languageField,
  modelField,
  promptField,
  taskField,
} from "../option_fields.js";
import { retryFailed } from "../recording_actions.js";
import { loader, onQueueChange } from "../reloading.js";
import { checkSpeakers, speakersField } from "../speakers_field.js";
import { cancel, forget, onTransfers, retry, transfers } from "../transfers.js";
import {
  forgetUploadRules,
  keepTyped,
  optionsForm,
  takeChosen,
  typedOptions,
  uploadRules,
} from "../upload_intake.js";
import { noticeSwitches } from "../upload_notices.js";
import { canBeSentAgain, fileRow, filesOf } from "../upload_rows.js";

const MAX_ASKED = 200; // Recordings in one request.
const AT_ONCE = 4;

const canBeRetried = (file) => canBeSentAgain(file) || file.recording?.counts.failed;

export function open(page) {
  let uploads = null;
  let rules = { options: {}, suffixes: [], mostBytes: Infinity };
  let isAnyoneAtWork = true;
  let isOnlyFailed = false;
  let isClearing = false;
  const recordings = new Map();

  const files = () => filesOf(transfers, uploads ?? [], recordings);

  const draw = () => {
    page.draw(template());
    const form = optionsForm();
    if (form) checkSpeakers(form);
  };

  const template = () => html`
    <h1>Upload</h1>
    <div class="dropzone">
      <p><strong>Drop recordings here</strong>, or on any other page</p>
      <p>or <button type="button" class="pick" @click=${chooseIn("files")}>Choose files</button>
        <input id="files" hidden type="file" multiple
               accept=${["audio/*", "video/*", ...rules.suffixes].join()} @change=${choose}>
        <button type="button" class="pick outline" @click=${chooseIn("folder")}>
          Choose a folder</button>
        <input id="folder" hidden type="file" webkitdirectory @change=${choose}></p>
      <small>Sound and films in any usual format: mp3, m4a, wav, flac, ogg, opus, mp4, mkv …${
        rules.mostBytes < Infinity ? `, up to ${bytes(rules.mostBytes)} each` : ""
      }.
        A file that is here already is found, not taken twice. One that was interrupted goes on where it
        was.</small>
    </div>
    ${options()}
    <section>
      <h2>Files</h2>
      ${list(files())}
    </section>`;

  const options = () => {
    const [typed, { options: set }] = [typedOptions(), rules];
    return html`
    <details class="more">
      <summary>Options for the next files</summary>
      <form id="upload-options" class="fields" @submit=${(event) => event.preventDefault()}
            @input=${(event) => keepTyped(event.currentTarget)}>
        ${languageField(typed.language || null, set.default_language)}
        ${taskField(typed.task || null, set.default_task)}
        ${modelField(typed.model, set.default_model ?? undefined)}
        <label>Priority
          <input name="priority" type="number" step="1" min="-1000000000" max="1000000000"
                 value=${typed.priority ?? ""} placeholder=${set.default_priority ?? 0}>
          <small>Higher ones go first.</small></label>
        <label>Channels
          <select name="channels">
            <option value="">Mixed</option>
            <option value="split" ?selected=${typed.channels === "split"}>Each by itself</option>
          </select>
          <small>For calls with one speaker on each.</small></label>
        ${speakersField([typed.speakers, typed.speakers_count])}
        ${promptField(typed.prompt, set.default_prompt ?? undefined)}
        ${hotwordsField(typed.hotwords, set.default_hotwords ?? undefined)}
      </form>
      ${noticeSwitches(draw)}
    </details>`;
  };

  const list = (all) => {
    if (!all.length) {
      return uploads === null
        ? html`<p aria-busy="true">Loading</p>`
        : html`<p class="empty">What you send shows here, until its last word is transcribed.</p>`;
    }
    const shown = isOnlyFailed ? all.filter(({ group }) => group === "failed") : all;
    return html`
      ${summary(all)}
      <ul class="plain-list uploads">${repeat(
        shown,
        ({ key }) => key,
        (file) => fileRow(file, actions, isAnyoneAtWork),
      )}</ul>`;
  };

  const summary = (all) => {
    const inGroup = (name) => all.filter(({ group }) => group === name);
    const [done, failed, cancelled] = ["done", "failed", "cancelled"].map(inGroup);
    const total = all.length - cancelled.length;
    const finished = [...done, ...cancelled];
    return html`
      <div class="batch">
        <div class="grow">
          <p aria-busy=${all.some(({ state }) => state === "loading")}>
            <strong>${number(done.length)} of ${number(total)}</strong> done${
            failed.length
              ? html` · <span class="wrong">${number(failed.length)} failed</span>`
              : nothing
          }</p>
          <progress aria-label="Files done" max=${total || 1} .value=${done.length}></progress>
        </div>
        ${
          failed.length || isOnlyFailed
            ? html`
              <button class="small outline secondary" aria-pressed=${isOnlyFailed}
                      @click=${toggleFailed}>Only failed</button>
              <button class="small outline" ?disabled=${!failed.some(canBeRetried)}
                      @click=${() => retryAll(failed)}>Retry failed</button>`
            : nothing
        }
        <button class="small outline secondary" aria-busy=${isClearing}
                ?disabled=${isClearing || !finished.length}
                @click=${() => clearAll(finished)}>Clear finished</button>
      </div>`;
  };

  const toggleFailed = () => {
    isOnlyFailed = !isOnlyFailed;
    draw();
  };

  const remove = async ({ upload, transfer }) => {
    if (upload) {
      await api("DELETE", `/api/uploads/${upload.id}`).catch((error) => {
        if (error.status !== 404) throw error; // Another page has cleared it.
      });
    }
    if (transfer && transfers.includes(transfer)) forget(transfer);
  };

  const clearAll = (finished) =>
    page.attempt(async () => {
      isClearing = true;
      draw();
      try {
        for (let i = 0; i < finished.length; i += AT_ONCE) {
          await Promise.all(finished.slice(i, i + AT_ONCE).map(remove));
        }
      } finally {
        isClearing = false;
        await refresh("uploads");
        draw();
      }
    });

  const retryAll = (failed) =>
    page.attempt(async () => {
      isOnlyFailed = false;
      failed.filter(canBeSentAgain).forEach(({ transfer }) => retry(transfer));
      const cut = failed.filter(({ recording }) => recording?.counts.failed);
      for (const { recording } of cut) {
        await api("POST", "/api/queue/retry", { body: { source_id: recording.id } });
      }
      if (cut.length) await loadRecordings(true);
    });

  const actions = {
    cancel: (file) =>
      file.transfer && file.transfer.state !== "sent"
        ? cancel(file.transfer)
        : actions.clear(file),
    clear: (file) =>
      page.attempt(async () => {
        await remove(file);
        await refresh("uploads");
      }),
    sendAgain: ({ transfer }) => retry(transfer),
    retry: ({ recording }) =>
      page.attempt(async () => {
        if (await retryFailed(recording)) await loadRecordings(true);
      }),
  };

  const chooseIn = (id) => () => document.querySelector(`#${id}`).click();

  const choose = ({ target }) => page.attempt(() => takeChosen(target, page.go));

  const loadAll = async () => {
    let asked = files().filter(({ upload }) => upload?.source_id);
    if (asked.length > MAX_ASKED) asked = asked.filter(({ group }) => group !== "done");
    const ids = [...new Set(asked.map(({ upload }) => upload.source_id))].slice(0, MAX_ASKED);
    const query = new URLSearchParams(ids.map((id) => ["id", id]));
    query.set("limit", MAX_ASKED);
    const answer = ids.length
      ? await api("GET", `/api/recordings?${query}`, { signal: page.signal })
      : { recordings: [] };
    for (const id of ids) recordings.set(id, null); // Those that are not found have been deleted.
    for (const recording of answer.recordings) recordings.set(recording.id, recording);
    draw();
  };

  const loadRecordings = onQueueChange(loadAll, page.signal, 2);
  onTransfers(draw, page.signal);
  follow(
    "uploads",
    (update) => {
      const fresh = update.some((upload) => upload.source_id && !recordings.has(upload.source_id));
      uploads = update;
      draw();
      if (fresh) loadRecordings(true);
    },
    page.signal,
  );
  follow(
    "status",
    ({ workers_alive: alive }) => {
      isAnyoneAtWork = alive > 0;
      draw();
    },
    page.signal,
  );
  forgetUploadRules();
  loader(async () => {
    rules = await uploadRules();
    draw();
  }, page.signal)();
  draw();
}
