// How the states of chunks and recordings are named and drawn: the words of docs/glossary.md.

import { html, nothing, svg } from "./vendor/lit-html/lit-html.js";
import { number, plural } from "./format.js";

const STATES = [
  ["transcribed", "done"],
  ["processing", "transcribing"],
  ["pending", "waiting"],
  ["failed", "failed"],
];
const WIDTH = 1_000;
const LEAST = 6; // What one chunk in a hundred thousand is still seen by.

/** How many chunks are in each state, as one bar. */
function bar(counts) {
  const shown = STATES.filter(([state]) => counts[state]);
  const total = shown.reduce((sum, [state]) => sum + counts[state], 0);
  let x = 0;
  const parts = shown.map(([state]) => {
    const width = LEAST + (counts[state] / total) * (WIDTH - LEAST * shown.length);
    const part = svg`<rect class=${state} x=${x} width=${width} height="10"></rect>`;
    x += width;
    return part;
  });
  return html`
    <svg class="state-bar" viewBox="0 0 ${WIDTH} 10" preserveAspectRatio="none" aria-hidden="true">
      ${parts}</svg>`;
}

/** The same, and in words. */
export function stateBar(counts) {
  return html`
    ${bar(counts)}
    <ul class="legend">
      ${STATES.map(
        ([state, name]) => html`
        <li class=${state}><strong>${number(counts[state])}</strong> ${name}</li>`,
      )}
    </ul>`;
}

/** The progress of one recording, its chunks by state, with `words` before their numbers. */
export function recordingProgress({ counts, chunk_count, is_ingesting }, words = "") {
  const known = STATES.reduce((sum, [state]) => sum + counts[state], 0);
  const total = Math.max(chunk_count ?? 0, known);
  return html`
    <div role="progressbar" aria-label="Chunks transcribed" aria-valuemin="0"
         aria-valuemax=${Math.max(total, 1)} aria-valuenow=${counts.transcribed}>${bar({
           ...counts,
           pending: counts.pending + total - known,
         })}</div>
    <small>${
      is_ingesting && !total
        ? "Being prepared"
        : html`${words}${number(counts.transcribed)} of ${plural(total, "chunk")}${
            is_ingesting ? ", still being prepared" : ""
          }`
    }${
      counts.failed ? html` · <span class="wrong">${number(counts.failed)} failed</span>` : nothing
    }</small>`;
}

/** One of "preparing", "transcribing", "waiting", "done", "partly failed" and "failed". */
export function recordingState({ counts, is_ingesting }) {
  if (is_ingesting) return "preparing";
  if (counts.processing) return "transcribing";
  if (counts.pending) return "waiting";
  if (!counts.failed) return "done";
  return counts.transcribed ? "partly failed" : "failed";
}
