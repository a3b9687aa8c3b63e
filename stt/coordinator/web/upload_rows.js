// The files of Upload, each from its transfer to its transcript: their states, and their rows.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { recordingProgress, recordingState } from "./chunk_states.js";
import { bytes, length } from "./format.js";
import { badge, foreign, name } from "./markup.js";
import { isRetired } from "./transfers.js";

const FAILED = ["failed", "partly failed"];
const DONE = ["done", "already there"];

/**
 * All files, newest first: each `{key, transfer, upload, recording, state, group}` with the groups
 * "open", "done", "failed" and "cancelled".
 *
 * `recordings`: by id; null where it has been deleted, not there until it is loaded.
 */
export function filesOf(transfers, uploads, recordings) {
  const ours = new Set(transfers.map(({ key }) => key));
  const theirs = uploads.filter(
    (upload) => !ours.has(upload.transfer) && !isRetired(upload) && !isContinued(upload, transfers),
  );
  return [
    ...transfers.map((transfer) => ({ key: transfer.key, transfer, upload: transfer.upload })),
    ...theirs.map((upload) => ({ key: upload.id, upload })),
  ].map((file) => {
    const recording = recordings.get(file.upload?.source_id);
    const state = stateOf({ ...file, recording });
    return { ...file, recording, state, group: groupOf(state) };
  });
}

/** Whether it is about to go on as a transfer of this page. */
const isContinued = (upload, transfers) =>
  upload.state === "interrupted" &&
  transfers.some(
    ({ filename, bytes: size, upload: record }) =>
      !record && filename === upload.filename && size === upload.bytes,
  );

function stateOf({ transfer, upload, recording }) {
  if (transfer && transfer.state !== "sent") return transfer.state;
  if (!upload) return "waiting";
  if (upload.state === "cutting") return "preparing";
  if (!DONE.includes(upload.state)) return upload.state;
  if (recording) return recordingState(recording);
  return recording === null || !upload.source_id ? upload.state : "loading";
}

function groupOf(state) {
  if (FAILED.includes(state)) return "failed";
  if (DONE.includes(state)) return "done";
  return state === "cancelled" ? "cancelled" : "open";
}

/** Whether it failed on its way, and its file is still at hand. */
export const canBeSentAgain = ({ transfer, upload }) =>
  transfer?.state === "failed" || (transfer?.state === "sent" && upload?.state === "failed");

/**
 * A row. `actions`: what its buttons do, functions of the file: `cancel`, `clear`, `sendAgain` and
 * `retry`, of its failed chunks.
 */
export function fileRow(file, actions, isAnyoneAtWork) {
  const { transfer, upload, recording, state, group } = file;
  const filename = upload?.filename ?? transfer.filename;
  const button = (text, work) => html`
    <button class="small outline secondary" aria-label=${`${text} ${filename}`}
            @click=${() => work(file)}>${text}</button>`;
  const isCut = recording && DONE.includes(upload.state);
  return html`
    <li data-state=${state}>
      <div class="line-up">
        ${
          isCut ? html`<a href="/recordings/${recording.id}">${name(filename)}</a>` : name(filename)
        }
        ${badge(state)}
      </div>
      <div class="line-up">
        <div class="grow">${isCut ? transcription(file, isAnyoneAtWork) : onItsWay(file)}</div>
        ${canBeSentAgain(file) ? button("Try again", actions.sendAgain) : nothing}
        ${isCut && recording.counts.failed ? button("Retry", actions.retry) : nothing}
        ${
          state === "loading"
            ? nothing
            : group === "open" && !isCut
              ? button("Cancel", actions.cancel)
              : button("Clear", actions.clear)
        }
      </div>
    </li>`;
}

const progress = (label, value, max) => html`
  <progress aria-label=${label} max=${max || 1} .value=${value ?? 0} ?hidden=${!max}></progress>
  <small>${label}</small>`;
const wrong = (text) => html`<small class="wrong">${foreign(text)}</small>`;

function onItsWay({ transfer, upload, state }) {
  const [come, size] = transfer
    ? [transfer.sent, transfer.bytes]
    : [upload.received_bytes, upload.bytes];
  const part = `${bytes(come)} of ${bytes(size)}`;
  switch (state) {
    case "queued":
      return progress("Waits for its turn");
    case "sending":
      return progress(`Transfer: ${part}`, come, size);
    case "receiving":
      return progress(`Transfer from elsewhere: ${part}`, come, size);
    case "interrupted":
      return transfer
        ? html`${progress(`Interrupted at ${part}. It goes on by itself.`, come, size)}
            <div>${wrong(transfer.error)}</div>`
        : progress(`Interrupted at ${part}. Choose the same file again: it goes on there.`, come, size);
    case "waiting":
      return progress(upload ? "Waits to be prepared" : "Transferred");
    case "preparing": {
      const whole = upload.total_seconds ? ` of ${length(upload.total_seconds)}` : "";
      return progress(`Preparing: ${length(upload.cut_seconds)}${whole}`, upload.cut_seconds, upload.total_seconds);
    }
    case "failed":
      return wrong(transfer?.error ?? upload?.error);
    case "cancelled":
      return nothing;
    case "loading":
      return progress("Prepared. How far its transcription is has not been said yet.");
    default:
      return html`<small>${again(upload)}${upload.source_id && state === upload.state ? "It has been deleted." : ""}</small>`;
  }
}

const again = ({ state }) => (state === "already there" ? "This recording was here already. " : "");

function transcription({ upload, recording, state }, isAnyoneAtWork) {
  const isOpen = ["preparing", "transcribing", "waiting"].includes(state);
  const words = `${again(upload)}${isOpen ? "Transcription" : "Transcribed"}: `;
  return html`${recordingProgress(recording, words)}
    ${
      state === "waiting" && !isAnyoneAtWork
        ? html`<small> · No machine is at work: <a href="/fleet">join one</a>.</small>`
        : nothing
    }
    ${
      recording.counts.failed
        ? html`<small> · <a href="/recordings/${recording.id}">Why it failed</a></small>`
        : nothing
    }
    ${upload.warnings.map((text) => html`<div><small>${foreign(text)}</small></div>`)}`;
}
