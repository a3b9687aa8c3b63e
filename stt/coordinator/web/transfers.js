// Files on their way to the coordinator. They go on while other pages are shown.

import { refusal, withQuery } from "./api.js";
import { refresh } from "./live.js";
import { report } from "./notices.js";

const AT_ONCE = 2;

/** Newest first; each `{key, filename, bytes, sent, state, error, uploadId}` with the states
 * "queued", "sending", "sent", "failed" and "cancelled". */
export const transfers = [];
const listeners = new Set();
let count = 0;

/** Sends files, each `{file, path}`, two at a time; `options` are the query of POST /upload. */
export function send(chosen, options) {
  for (const { file, path } of chosen) {
    transfers.unshift({
      key: `transfer-${(count += 1)}`,
      file,
      options,
      filename: path,
      bytes: file.size,
      sent: 0,
      state: "queued",
      error: null,
      uploadId: null,
      request: null,
    });
  }
  next();
}

export function cancel(transfer) {
  transfer.state = "cancelled";
  transfer.request?.abort();
  next();
}

/** Takes one that has ended off the list. */
export function forget(transfer) {
  transfers.splice(transfers.indexOf(transfer), 1);
  changed();
}

export function onTransfers(listener, signal) {
  listeners.add(listener);
  signal.addEventListener("abort", () => listeners.delete(listener));
}

function changed() {
  for (const listener of listeners) listener();
}

function next() {
  const sending = transfers.filter((transfer) => transfer.state === "sending").length;
  const queued = transfers.filter((transfer) => transfer.state === "queued").reverse();
  queued.slice(0, Math.max(AT_ONCE - sending, 0)).forEach(start);
  changed();
}

// XMLHttpRequest, because fetch does not report how much of a body has been sent.
function start(transfer) {
  const form = new FormData();
  form.append("file", transfer.file, transfer.filename);
  const request = new XMLHttpRequest();
  transfer.request = request;
  transfer.state = "sending";
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) transfer.sent = transfer.bytes * (event.loaded / event.total);
    changed();
  });
  request.addEventListener("load", () => {
    if (request.status === 202) {
      transfer.state = "sent";
      transfer.uploadId = JSON.parse(request.responseText).uploads[0].id;
      refresh("uploads").catch(report);
    } else {
      fail(transfer, refusal(request.status, request.responseText).message);
    }
  });
  request.addEventListener("error", () => {
    fail(transfer, "The transfer broke off: the coordinator does not answer, or the file is gone.");
  });
  request.addEventListener("loadend", () => {
    transfer.request = null;
    transfer.file = transfer.state === "failed" ? transfer.file : null;
    next();
  });
  request.open("POST", withQuery("/upload", transfer.options));
  request.setRequestHeader("Accept", "application/json");
  request.send(form);
}

function fail(transfer, message) {
  transfer.state = "failed";
  transfer.error = message;
}

/** Sends a file again whose transfer failed. */
export function retry(transfer) {
  Object.assign(transfer, { state: "queued", error: null, sent: 0 });
  next();
}

addEventListener("beforeunload", (event) => {
  const isBusy = transfers.some(({ state }) => state === "sending" || state === "queued");
  if (isBusy) event.preventDefault();
});
