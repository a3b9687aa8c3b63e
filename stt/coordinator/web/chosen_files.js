// Files that a person chooses or drops, with their paths in the folders that they came in.

import { plural } from "./format.js";
import { notice } from "./notices.js";

/**
 * The files of an input; each `{file, path}`, and a path begins with the folder that was chosen.
 *
 * `suffixes`: those of recordings, such as ".mp3".
 */
export const chosenFiles = (list, suffixes) =>
  recordingsOf(
    [...list].map((file) => ({ file, path: file.webkitRelativePath || file.name })),
    suffixes,
  );

/** Begin to read the items of a drop, which is possible only before the first pause. */
function droppedFiles(items) {
  const found = [...items]
    .filter((item) => item.kind === "file")
    .map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile())
    .filter(Boolean)
    .map(filesOf);
  return async (suffixes) => recordingsOf((await Promise.all(found)).flat(), suffixes);
}

async function filesOf(entry) {
  if (entry instanceof File) return [{ file: entry, path: entry.name }];
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ file, path: entry.fullPath.replace(/^\//, "") }];
  }
  const found = [];
  const reader = entry.createReader();
  for (;;) {
    // A browser gives a hundred at a time, and none at the end.
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return found;
    found.push(...(await Promise.all(entries.map(filesOf))).flat());
  }
}

/** Leave out what lies in a folder and is no recording; whatever is chosen by itself is taken. */
function recordingsOf(chosen, suffixes) {
  const shown = chosen.filter(({ path }) => !/\/\./.test(`/${path}`) || !path.includes("/"));
  const taken = shown.filter(
    ({ file, path }) =>
      !path.includes("/") ||
      /^((audio|video)\/|$)/.test(file.type) ||
      suffixes.some((suffix) => path.toLowerCase().endsWith(suffix)),
  );
  const left = shown.length - taken.length;
  if (left) notice(`Left out what is no recording: ${plural(left, "file")}.`);
  return taken;
}

/**
 * Files and folders may be dropped anywhere on the page. `take` gets a function that returns them, each
 * `{file, path}`, for the suffixes of recordings.
 */
export function acceptDrops(take, setOver) {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    setOver(true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget || setOver(false));
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    setOver(false);
    take(droppedFiles(event.dataTransfer.items));
  });
}
