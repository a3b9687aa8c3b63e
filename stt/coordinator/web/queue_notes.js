// What waits for whom, in sentences, each with what a person can do.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { length, plural } from "./format.js";
import { foreign } from "./markup.js";

/** The notes on `status`, as GET /status answers; nothing where nothing waits. */
export const queueNotes = (status) => {
  const { counts, missing_models: missing } = status;
  const failed = counts.failed - status.dismissed;
  const notes = [
    ...missing.map(missingModel),
    counts.pending && !status.workers_alive ? noMachine(status) : null,
    counts.total || status.workers_alive ? null : noMachineYet(status),
    failed ? failures(failed) : null,
    counts.pending + counts.processing && status.workers_alive ? progress(status) : null,
  ].filter(Boolean);
  if (!notes.length) return nothing;
  return html`<ul class="notes" aria-label="What waits">${notes}</ul>`;
};

const note = (kind, text, action) =>
  html`<li data-kind=${kind}><span>${text}</span>${action ?? nothing}</li>`;

const verb = (count) => (count === 1 ? "waits" : "wait");

const missingModel = ({ model, chunks }) =>
  note(
    "wrong",
    html`${plural(chunks, "chunk")} ${verb(chunks)} for
      ${model === "speakers" ? "speakers" : html`the model ${foreign(model)}`}, which no machine
      has.`,
    html`<a href="/fleet">See the machines</a>`,
  );

const noMachine = ({ counts: { pending: chunks }, nodes: { online } }) =>
  note(
    "wrong",
    `${plural(chunks, "chunk")} ${verb(chunks)}, and no machine is at work.`,
    html`<a href="/fleet">${online ? `See why: ${plural(online, "machine")} online` : "Join one"}</a>`,
  );

const noMachineYet = ({ nodes: { online } }) =>
  note(
    "working",
    "No machine is at work: what you add waits for one.",
    html`<a href="/fleet">${online ? "See the machines" : "Join one"}</a>`,
  );

const failures = (chunks) =>
  note(
    "wrong",
    `${plural(chunks, "chunk")} failed.`,
    html`<a href="/quarantine">See why, and retry</a>`,
  );

const progress = ({ counts, machines_alive: machines, eta_seconds: eta }) => {
  const parts = [
    counts.processing ? `${plural(counts.processing, "chunk")} being transcribed` : "",
    counts.pending ? `${plural(counts.pending, "chunk")} waiting` : "",
    `${plural(machines, "machine")} at work`,
    eta == null ? "" : `about ${length(eta)} left`,
  ];
  return note("working", parts.filter(Boolean).join(" · "), html`<a href="/fleet">Fleet</a>`);
};
