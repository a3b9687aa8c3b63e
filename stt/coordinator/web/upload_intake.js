// Files that are chosen or dropped, on any page: checked, and sent with the options of the next files.

import { api } from "./api.js";
import { acceptDrops, chosenFiles } from "./chosen_files.js";
import { bytes } from "./format.js";
import { report } from "./notices.js";
import { speakersOf } from "./speakers_field.js";
import { send } from "./transfers.js";

const MEGABYTE = 1_024 ** 2;

// What was typed into the options, by field: it stays while other pages are shown.
let typed = {};
let isWrong = false; // Whether the form refuses that.
export const typedOptions = () => typed;
export function keepTyped(form) {
  typed = Object.fromEntries(new FormData(form));
  isWrong = !form.checkValidity();
}
export const optionsForm = () => document.querySelector("#upload-options");

let known = null;

/** What holds for all uploads: `{options, suffixes, mostBytes}`. */
export function uploadRules() {
  known ??= load().catch((error) => {
    known = null;
    throw error;
  });
  return known;
}

async function load() {
  const [all, session] = await Promise.all([api("GET", "/api/options"), api("GET", "/api/session")]);
  const options = Object.fromEntries(all.options.map(({ name, value }) => [name, value]));
  return {
    options,
    suffixes: session.recording_suffixes,
    mostBytes: (options.max_upload_mb ?? Infinity) * MEGABYTE,
  };
}

/** Ask again what holds: a setting may have changed. */
export function forgetUploadRules() {
  known = null;
}

/**
 * Send the files that `found` returns for the suffixes of recordings, and show Upload by calling
 * `go`; where what was typed into the options is wrong, show that there instead.
 */
async function take(found, go) {
  const show = () => location.pathname === "/upload" || go("/upload");
  if (isWrong) show();
  const form = optionsForm();
  if (form && !form.checkValidity()) form.closest("details").open = true; // A hidden field shows nothing.
  if (form && !form.reportValidity()) return;
  const { suffixes, mostBytes } = await uploadRules();
  const chosen = await found(suffixes);
  for (const { file, path } of chosen) {
    if (file.size > mostBytes) report(new Error(`${path} is too large: ${bytes(file.size)}.`));
  }
  const fit = chosen.filter(({ file }) => file.size <= mostBytes);
  await send(fit, options());
  if (fit.length) show();
}

/** What is typed, as the query of an upload. */
function options() {
  const entries = Object.entries(typed).map(([key, value]) => [key, value.trim()]);
  const { speakers_count: _, ...given } = Object.fromEntries(entries);
  return { ...given, ...speakersOf(typed) };
}

/** Take what is dropped on any page. `go`: shows the page at an address. */
export function acceptUploads(go) {
  const sign = document.createElement("div");
  sign.className = "drop-sign";
  sign.textContent = "Drop to upload";
  sign.hidden = true;
  document.body.append(sign);
  acceptDrops(
    async (found) => {
      try {
        await take(found, go);
      } catch (error) {
        report(error);
      }
    },
    (isOver) => {
      sign.hidden = !isOver;
    },
  );
}

export const takeChosen = (input, go) => {
  const files = [...input.files];
  input.value = "";
  return take((suffixes) => chosenFiles(files, suffixes), go);
};
