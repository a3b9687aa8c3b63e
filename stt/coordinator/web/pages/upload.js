// Upload: files in, and what becomes of them: transfer, cutting, transcription.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { api } from "../api.js";
import { acceptDrops, chosenFiles } from "../chosen_files.js";
import { recordingProgress, recordingState } from "../chunk_states.js";
import { loader, onQueueChange } from "../reloading.js";
import { bytes, length } from "../format.js";
import { follow, refresh } from "../live.js";
import { badge, foreign, name } from "../markup.js";
import { report } from "../notices.js";
import {
  hotwordsField,
  languageField,
  modelField,
  promptField,
  taskField,
} from "../option_fields.js";
import { cancel, forget, isRetired, onTransfers, retry, send, transfers } from "../transfers.js";

const MEGABYTE = 1_024 ** 2;
const MAX_UPLOADS = 200; // The coordinator lists fewer.
// What was typed into the options, by field: it stays while other pages are shown.
let typed = {};

export function open(page) {
  let uploads = null;
  let isOver = false;
  let options = {};
  let suffixes = [];
  let isAnyoneAtWork = true;
  const recordings = new Map();

  const draw = () =>
    page.draw(html`
    <h1>Upload</h1>
    <div class="dropzone ${isOver ? "is-over" : ""}">
      <p><strong>Drop recordings here</strong></p>
      <p>or <button type="button" class="pick" @click=${chooseIn("files")}>Choose files</button>
        <input id="files" hidden type="file" multiple
               accept=${["audio/*", "video/*", ...suffixes].join()} @change=${choose}>
        <button type="button" class="pick outline" @click=${chooseIn("folder")}>
          Choose a folder</button>
        <input id="folder" hidden type="file" webkitdirectory @change=${choose}></p>
      <small>Sound and films in any usual format: mp3, m4a, wav, flac, ogg, opus, mp4, mkv …${
        options.max_upload_mb ? `, up to ${bytes(options.max_upload_mb * MEGABYTE)} each` : ""
      }.
        A file that is here already is found, not taken twice.</small>
    </div>
    <details class="more">
      <summary>Options for the next files</summary>
      <form id="upload-options" class="fields" @submit=${(event) => event.preventDefault()}
            @input=${(event) => {
              typed = Object.fromEntries(new FormData(event.currentTarget));
            }}>
        ${languageField(typed.language || null, options.default_language)}
        ${taskField(typed.task || null, options.default_task)}
        ${modelField(typed.model, options.default_model ?? undefined)}
        <label>Priority
          <input name="priority" type="number" step="1" min="-1000000000" max="1000000000"
                 value=${typed.priority ?? ""} placeholder=${options.default_priority ?? 0}>
          <small>Higher ones go first.</small></label>
        <label>Channels
          <select name="channels">
            <option value="">Mixed</option>
            <option value="split" ?selected=${typed.channels === "split"}>Each by itself</option>
          </select>
          <small>For calls with one speaker on each.</small></label>
        ${promptField(typed.prompt, options.default_prompt ?? undefined)}
        ${hotwordsField(typed.hotwords, options.default_hotwords ?? undefined)}
      </form>
    </details>
    <section aria-live="off">
      <h2>Files</h2>
      ${list()}
    </section>`);

  const list = () => {
    // This page's own row shows more than the coordinator's of the same transfer.
    const ours = new Set(transfers.map((transfer) => transfer.key));
    const known = uploads ?? [];
    const rows = [
      ...transfers.map((transfer) => ({
        key: transfer.key,
        row: transferRow(
          transfer,
          known.find((upload) => upload.id === transfer.uploadId),
        ),
      })),
      ...known
        .filter((upload) => !ours.has(upload.transfer) && !isRetired(upload))
        .map((upload) => ({ key: upload.id, row: uploadRow(upload) })),
    ];
    if (!rows.length) {
      return uploads === null
        ? html`<p aria-busy="true">Loading</p>`
        : html`<p class="empty">What you send shows here, until its last word is transcribed.</p>`;
    }
    return html`<ul class="plain-list uploads">${repeat(
      rows,
      (row) => row.key,
      ({ row }) => row,
    )}</ul>`;
  };

  const transferRow = (transfer, upload) => {
    if (upload) return uploadRow(upload, transfer);
    const { state, sent, bytes: size } = transfer;
    if (state === "sent") return row(transfer.filename, "waiting", progress("Transferred"), null);
    if (state === "failed") {
      return row(transfer.filename, "failed", wrong(transfer.error), [
        button("Try again", () => retry(transfer)),
        button("Clear", () => forget(transfer)),
      ]);
    }
    if (state === "cancelled") {
      return row(transfer.filename, "cancelled", nothing, [
        button("Clear", () => forget(transfer)),
      ]);
    }
    const label =
      state === "queued" ? "Waits for its turn" : `Transfer: ${bytes(sent)} of ${bytes(size)}`;
    return row(transfer.filename, state, progress(label, sent, size), [
      button("Cancel", () => cancel(transfer)),
    ]);
  };

  const uploadRow = (upload, transfer) => {
    const { state } = upload;
    const drop = (word) => button(word, () => remove(upload, transfer));
    if (state === "receiving") {
      const [sent, size] = [bytes(upload.received_bytes), bytes(upload.bytes)];
      const label = `Transfer from elsewhere: ${sent} of ${size}`;
      return row(upload.filename, state, progress(label, upload.received_bytes, upload.bytes), [
        drop("Cancel"),
      ]);
    }
    if (state === "waiting")
      return row(upload.filename, state, progress("Waits to be prepared"), [drop("Cancel")]);
    if (state === "cutting") {
      const label = `Preparing: ${length(upload.cut_seconds)}${
        upload.total_seconds ? ` of ${length(upload.total_seconds)}` : ""
      }`;
      return row(upload.filename, "preparing", progress(label, upload.cut_seconds, upload.total_seconds), [
        drop("Cancel"),
      ]);
    }
    if (state === "failed")
      return row(upload.filename, state, wrong(upload.error), [drop("Clear")]);
    return transcriptionRow(upload, drop("Clear"));
  };

  const transcriptionRow = (upload, drop) => {
    const recording = recordings.get(upload.source_id);
    const again = upload.state === "already there" ? "This recording was here already. " : "";
    if (!recording) {
      const isGone = recording === null;
      const words = isGone ? `${again}It has been deleted.` : again;
      const state = isGone || again ? upload.state : "transcribing";
      return row(upload.filename, state, html`<small>${words}</small>`, [drop]);
    }
    const state = recordingState(recording);
    const isOpen = ["preparing", "transcribing", "waiting"].includes(state);
    const words = `${again}${isOpen ? "Transcription" : "Transcribed"}: `;
    const body = html`${recordingProgress(recording, words)}
      ${
        state === "waiting" && !isAnyoneAtWork
          ? html`<small> · No machine is at work: <a href="/fleet">join one</a>.</small>`
          : nothing
      }
      ${
        recording.counts.failed
          ? html`<small> · <a href="/recordings/${upload.source_id}">Why it failed</a></small>`
          : nothing
      }
      ${upload.warnings.map((text) => html`<div><small>${foreign(text)}</small></div>`)}`;
    return row(upload.filename, state, body, [drop], upload);
  };

  const row = (filename, state, body, buttons, upload) => html`
    <li data-state=${state}>
      <div class="line-up">
        ${
          upload?.source_id
            ? html`<a href="/recordings/${upload.source_id}">${name(filename)}</a>`
            : name(filename)
        }
        ${badge(state)}
      </div>
      <div class="line-up"><div class="grow">${body}</div>${buttons ?? nothing}</div>
    </li>`;

  const progress = (label, value, max) => html`
    <progress aria-label=${label} max=${max || 1} .value=${value ?? 0} ?hidden=${!max}></progress>
    <small>${label}</small>`;
  const wrong = (text) => html`<small class="wrong">${foreign(text)}</small>`;
  const button = (text, work) =>
    html`<button class="small outline secondary" @click=${work}>${text}</button>`;

  const remove = (upload, transfer) =>
    page.attempt(async () => {
      await api("DELETE", `/api/uploads/${upload.id}`);
      if (transfer) forget(transfer);
      await refresh("uploads");
    });

  const chooseIn = (id) => () => document.querySelector(`#${id}`).click();

  const choose = ({ target }) => {
    take(chosenFiles(target.files, suffixes));
    target.value = "";
  };

  /** Send files, each `{file, path}`. */
  const take = (chosen) => {
    const form = document.querySelector("#upload-options");
    if (!form.checkValidity()) form.closest("details").open = true; // A hidden field shows nothing.
    if (!form.reportValidity()) return;
    const most = (options.max_upload_mb ?? Infinity) * MEGABYTE;
    const fit = chosen.filter(({ file }) => file.size <= most);
    for (const { file, path } of chosen) {
      if (file.size > most) report(new Error(`${path} is too large: ${bytes(file.size)}.`));
    }
    send(
      fit,
      Object.fromEntries([...new FormData(form)].map(([key, value]) => [key, value.trim()])),
    );
  };

  const loadAll = async () => {
    const ids = new Set((uploads ?? []).map((upload) => upload.source_id));
    ids.delete(null);
    const query = new URLSearchParams([...ids].map((id) => ["id", id]));
    query.set("limit", MAX_UPLOADS);
    const answer = ids.size
      ? await api("GET", `/api/recordings?${query}`, { signal: page.signal })
      : { recordings: [] };
    for (const id of ids) recordings.set(id, null); // Those that are not found have been deleted.
    for (const recording of answer.recordings) recordings.set(recording.id, recording);
    draw();
  };

  const loadRecordings = onQueueChange(loadAll, page.signal, 2);
  acceptDrops(
    () => suffixes,
    take,
    (update) => {
      isOver = update;
      draw();
    },
    page.signal,
  );
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
  loader(async () => {
    const { signal } = page;
    const [all, session] = await Promise.all([
      api("GET", "/api/options", { signal }),
      api("GET", "/api/session", { signal }),
    ]);
    options = Object.fromEntries(all.options.map((option) => [option.name, option.value]));
    suffixes = session.recording_suffixes;
    draw();
  }, page.signal)();
  draw();
}
