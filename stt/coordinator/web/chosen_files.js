// Files that a person chooses or drops, with their paths in the folders that they came in.

import { plural } from "./format.js";
import { notice, report } from "./notices.js";

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

/** The same for the items of a drop, which can only be read before the first pause. */
async function droppedFiles(items, suffixes) {
  const entries = [...items]
    .filter((item) => item.kind === "file")
    .map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  const found = await Promise.all(entries.filter(Boolean).map(filesOf));
  return recordingsOf(found.flat(), suffixes);
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

/** Files and folders may be dropped anywhere on the page. */
export function acceptDrops(suffixes, take, setOver, signal) {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener(
    "dragover",
    (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      setOver(true);
    },
    { signal },
  );
  addEventListener("dragleave", (event) => event.relatedTarget || setOver(false), { signal });
  addEventListener(
    "drop",
    (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(false);
      droppedFiles(event.dataTransfer.items, suffixes()).then(take).catch(report);
    },
    { signal },
  );
}
