// Files on their way to the coordinator. They go on while other pages are shown, and after a break.

import "./vendor/tus-js-client/tus.min.js"; // Sets `tus`.
import { api, refusal, withQuery } from "./api.js";
import { fingerprintOf, isSameFile } from "./file_identity.js";
import { follow, refresh } from "./live.js";
import { notice, report } from "./notices.js";
import { plural } from "./format.js";

const AT_ONCE = 2;
const PART_BYTES = 64 * 1_024 ** 2;
const MAX_PAUSE_MS = 15_000;
// More pauses than fit a day. A part that arrives begins them anew.
const PAUSES = Array.from({ length: 10_000 }, (_, i) => Math.min(500 * 2 ** i, MAX_PAUSE_MS));
const PASSING = [0, 408, 409, 423, 429]; // Statuses; 0: there was no answer.
const OUT_OF_SPACE = 507;

/** Newest first; each `{key, filename, bytes, sent, state, error, upload}` with the states "queued",
 * "sending", "interrupted" (it goes on by itself), "sent", "failed" and "cancelled". `upload` is the
 * coordinator's latest record of it, which has its key as `transfer`. */
export const transfers = [];
const listeners = new Set();
// Keys of transfers that were cancelled or cleared: their records are to go.
const retired = new Set();
// Earlier keys of transfers that are sent again: what came goes on under the new key.
const earlier = new Set();

/** Sends files, each `{file, path}`, two at a time; `options` are the query of POST /api/uploads. */
export async function send(chosen, options) {
  const fresh = [];
  for (const one of chosen) {
    const begun = transfers.filter(isOpen).map(({ file, filename: path }) => ({ file, path }));
    if (!(await isAmong(one, [...begun, ...fresh]))) fresh.push(one);
  }
  const left = chosen.length - fresh.length;
  if (left) notice(`On their way already: ${plural(left, "file")}.`);
  for (const { file, path } of fresh) {
    transfers.unshift({
      key: newKey(),
      file,
      options,
      filename: path,
      bytes: file.size,
      sent: 0,
      state: "queued",
      error: null,
      upload: null,
      request: null,
    });
  }
  next();
}

const newKey = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

const isOpen = ({ state }) => ["queued", "sending", "interrupted"].includes(state);

/** Whether it is one of these: a file of another folder may have its name, size and time too. */
async function isAmong({ file, path }, others) {
  for (const other of others) {
    if (other.path === path && (await isSameFile(file, other.file))) return true;
  }
  return false;
}

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
  signal?.addEventListener("abort", () => listeners.delete(listener));
}

let isChanged = false;

/** Call the listeners before the next picture: of a thousand files, many change in one. */
function changed() {
  if (isChanged) return;
  isChanged = true;
  setTimeout(() => {
    isChanged = false;
    for (const listener of listeners) listener();
  }, 50);
}

function next() {
  const isBusy = ({ state }) => state === "sending" || state === "interrupted";
  const free = AT_ONCE - transfers.filter(isBusy).length;
  const queued = transfers.filter((transfer) => transfer.state === "queued").reverse();
  queued.slice(0, Math.max(free, 0)).forEach(start);
  changed();
}

async function start(transfer) {
  const { key, file, filename, options } = transfer;
  transfer.state = "sending";
  const modified = file.lastModified ? new Date(file.lastModified).toISOString() : null;
  const fingerprint = await fingerprintOf(file).catch(() => null); // It is gone: sending it says so.
  if (transfer.state !== "sending" || transfer.key !== key) return; // Cancelled meanwhile.
  const endpoint = withQuery("/api/uploads", { ...options, transfer: key, modified, fingerprint });
  transfer.request = new globalThis.tus.Upload(file, {
    endpoint,
    metadata: { filename },
    chunkSize: PART_BYTES,
    retryDelays: PAUSES,
    storeFingerprintForResuming: false, // The coordinator knows the file again.
    onBeforeRequest: () => file.slice(0, 1).arrayBuffer(), // Fails if the file is gone.
    onProgress: (sent) => {
      Object.assign(transfer, { sent, state: "sending", error: null });
      changed();
    },
    onShouldRetry: (error) => {
      const { status, code, message } = meaning(error);
      const isPassing = PASSING.includes(status) || (status > 500 && status !== OUT_OF_SPACE);
      // The same file, known again, goes on at another place.
      if (isPassing && code !== "offset") Object.assign(transfer, { state: "interrupted", error: message });
      changed();
      return isPassing;
    },
    onSuccess: () => {
      end(transfer, "sent");
      refresh("uploads").catch(report);
    },
    onError: (error) => end(transfer, "failed", meaning(error).message),
  });
  transfer.request.start();
}

function end(transfer, state, error = null) {
  Object.assign(transfer, { state, error, request: null });
  next();
}

/** What an error of the library says to a person; `status` is -1 if the file cannot be read. */
function meaning({ originalResponse: response, causingError: cause }) {
  if (response) return refusal(response.getStatus(), response.getBody());
  if (["NotFoundError", "NotReadableError"].includes(cause?.name)) {
    return { status: -1, message: "The file cannot be read any more: it was moved or changed." };
  }
  return { status: 0, message: "The coordinator does not answer." };
}

/** Sends a file again whose transfer, or whose cutting, failed. */
export function retry(transfer) {
  const { key, upload } = transfer;
  earlier.add(key);
  Object.assign(transfer, { key: newKey(), upload: null, state: "queued", error: null, sent: 0 });
  if (upload) removeRetired([upload]);
  next();
}

function retire(key) {
  retired.add(key);
  const record = transfers.find((transfer) => transfer.key === key)?.upload;
  if (record) removeRetired([record]);
}

/** Remove the coordinator's records of retired transfers, which may come or end late. */
function removeRetired(uploads) {
  for (const { id, transfer, state } of uploads) {
    const isReplaced = earlier.has(transfer) && state === "failed";
    if (retired.has(transfer) || isReplaced) api("DELETE", `/api/uploads/${id}`).catch(() => {});
  }
}

export const isRetired = ({ transfer }) => retired.has(transfer) || earlier.has(transfer);

/** Follow what becomes of the transfers; call it once, before the first. */
export function followTransfers() {
  follow("uploads", (uploads) => {
    removeRetired(uploads);
    const byKey = new Map(uploads.map((upload) => [upload.transfer, upload]));
    for (const transfer of transfers) transfer.upload = byKey.get(transfer.key) ?? transfer.upload;
  });
  follow("state", (state) => {
    if (state !== "live" && state !== "polling") return;
    for (const { state: at, request } of transfers) {
      if (at === "interrupted") request.abort().then(() => request.start());
    }
  });
}

addEventListener("beforeunload", (event) => {
  if (transfers.some(isOpen)) event.preventDefault();
});
