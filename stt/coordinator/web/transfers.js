// Files on their way to the coordinator. They go on while other pages are shown.

import { api, refusal, withQuery } from "./api.js";
import { follow, refresh } from "./live.js";
import { report } from "./notices.js";

const AT_ONCE = 2;

/** Newest first; each `{key, filename, bytes, sent, state, error, uploadId}` with the states
 * "queued", "sending", "sent", "failed" and "cancelled". The coordinator's record of a transfer has
 * its key as `transfer`. */
export const transfers = [];
const listeners = new Set();
// Keys of transfers that were cancelled, cleared or are sent again: their records are to go.
const retired = new Set();

/** Sends files, each `{file, path}`, two at a time; `options` are the query of POST /upload. */
export function send(chosen, options) {
  for (const { file, path } of chosen) {
    transfers.unshift({
      key: newKey(),
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

const newKey = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

export function cancel(transfer) {
  retire(transfer.key);
  transfer.state = "cancelled";
  transfer.request?.abort();
  next();
}

/** Takes one that has ended off the list. */
export function forget(transfer) {
  if (transfer.state !== "sent") retire(transfer.key);
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
  const { key, file, options } = transfer;
  const modified = file.lastModified ? new Date(file.lastModified).toISOString() : null;
  request.open("POST", withQuery("/upload", { ...options, transfer: key, modified }));
  request.setRequestHeader("Accept", "application/json");
  request.send(form);
}

function fail(transfer, message) {
  transfer.state = "failed";
  transfer.error = message;
}

/** Sends a file again whose transfer failed. */
export function retry(transfer) {
  retire(transfer.key);
  Object.assign(transfer, { key: newKey(), state: "queued", error: null, sent: 0 });
  next();
}

function retire(key) {
  retired.add(key);
  if (retired.size === 1) follow("uploads", removeRetired);
}

/** Remove the coordinator's records of retired transfers, which may come or end late. */
function removeRetired(uploads) {
  for (const { id, transfer } of uploads) {
    if (retired.has(transfer)) api("DELETE", `/api/uploads/${id}`).catch(() => {});
  }
}

export const isRetired = ({ transfer }) => retired.has(transfer);

addEventListener("beforeunload", (event) => {
  const isBusy = transfers.some(({ state }) => state === "sending" || state === "queued");
  if (isBusy) event.preventDefault();
});
