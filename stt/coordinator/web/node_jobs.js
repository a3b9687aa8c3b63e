// What a node transcribes at the moment.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { length, plural } from "./format.js";
import { name } from "./markup.js";

export function jobList(node) {
  const jobs = node.jobs ?? [];
  if (!jobs.length && node.state !== "busy") return nothing;
  if (!jobs.length) {
    const chunks = (node.workers ?? []).reduce((sum, worker) => sum + worker.chunks.length, 0);
    return chunks ? html`<small>${plural(chunks, "chunk")}</small>` : nothing;
  }
  return html`<ul class="jobs">${jobs.map(
    (job) => html`
    <li>${name(job.filename)}
      <small>${length(job.seconds)} of audio,
        for ${length(elapsed(job, node))}</small></li>`,
  )}</ul>`;
}

/** In seconds, counted on since the update was received. */
const elapsed = (job, node) => job.elapsed_seconds + (Date.now() - node.received_at) / 1_000;
