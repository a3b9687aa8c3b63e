// How the queue stands and how fast it goes, in figures; a part of the page "Fleet".

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { stateBar } from "./chunk_states.js";
import { hour, hours, length, number, oneDigit, plural } from "./format.js";

/** The figures of `status`, as GET /status answers. */
export const figures = (status) => html`
  <section class="tiles" aria-label="Figures">
    ${queueTile(status)} ${audioTile(status)} ${etaTile(status)} ${machinesTile(status)}
    ${errorsTile(status)}
  </section>`;

const queueTile = (status) => html`
  <article class="tile wide">
    <h2>Queue</h2>
    <p class="figure">${plural(status.counts.total, "chunk")}</p>
    ${stateBar(status.counts)}
    ${
      status.resting || status.stale
        ? html`<small>${[
            status.resting ? `${number(status.resting)} resting after a failure` : "",
            status.stale ? `${plural(status.stale, "claim")} overdue` : "",
          ]
            .filter(Boolean)
            .join(" · ")}</small>`
        : nothing
    }
    ${status.missing_models.map(
      ({ model, chunks }) => html`<small class="wrong">${plural(chunks, "chunk")}
        ${chunks === 1 ? "waits" : "wait"} for ${model === "speakers" ? model : `the model ${model}`}, which no machine has</small>`,
    )}
  </article>`;

const audioTile = (status) => html`
  <article class="tile">
    <h2>Audio done</h2>
    <p class="figure">${hours(status.audio_seconds_done)}</p>
    <progress max=${Math.max(status.audio_seconds_total, 1)} value=${status.audio_seconds_done}
              aria-label="Audio done"></progress>
    <small>of ${hours(status.audio_seconds_total)}</small>
  </article>`;

const etaTile = (status) => {
  const { counts, eta_seconds: eta, rate } = status;
  const isOpen = counts.pending + counts.processing > 0;
  const end = eta == null ? "" : hour(new Date(Date.now() + eta * 1_000).toISOString());
  const words = !isOpen ? "All done" : eta == null ? "Unknown" : length(eta);
  return html`
    <article class="tile">
      <h2>Time left</h2>
      <p class="figure">${words}</p>
      <small>${isOpen && eta != null && eta < 86_400 ? `until about ${end} · ` : ""}${
        rate.audio_seconds_per_second
          ? `${oneDigit(rate.audio_seconds_per_second)} × real time, ` +
            `${oneDigit(rate.chunks_per_minute)} chunks a minute`
          : "nothing finished in the last minutes"
      }</small>
    </article>`;
};

const machinesTile = (status) => {
  const { busy, online, offline } = status.nodes;
  return html`
    <article class="tile">
      <h2>At work</h2>
      <p class="figure">${plural(status.machines_alive, "machine")}</p>
      <small>${
        busy + online + offline
          ? `nodes: ${number(busy)} transcribing, ${number(online)} idle, ${number(offline)} offline`
          : "no node has joined"
      }</small>
    </article>`;
};

const errorsTile = (status) => {
  const quarantined = status.counts.failed - status.dismissed;
  return html`
  <article class="tile">
    <h2>Errors in the last hour</h2>
    <p class="figure ${status.errors_last_hour ? "wrong" : ""}">${number(
      status.errors_last_hour,
    )}</p>
    <small>${
      quarantined
        ? html`<a href="/quarantine">${plural(quarantined, "chunk")} in quarantine</a>`
        : "nothing in quarantine"
    }</small>
  </article>`;
};
