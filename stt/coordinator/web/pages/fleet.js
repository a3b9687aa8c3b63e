// Fleet: how the queue stands, how fast it goes, the machines, and what went wrong.

import { html } from "../vendor/lit-html/lit-html.js";
import { api } from "../api.js";
import { figures } from "../fleet_figures.js";
import { follow } from "../live.js";
import { foreign, name, since } from "../markup.js";
import { nodesPanel } from "../nodes_panel.js";
import { onQueueChange } from "../reloading.js";
import { throughputPanel } from "../throughput_panel.js";
import { visible } from "../visible.js";

const LATEST_ERRORS = 5;

export function open(page) {
  let status = null;
  let failed = null;
  let nodes = null;
  let throughput = null;

  const draw = () => {
    if (!throughput) return; // A panel may have its data before the other one is there.
    page.draw(template());
    throughput.fill();
  };

  const template = () => html`
    <div class="heading">
      <h1>Fleet</h1>
      <div class="actions">${nodes.buttons()}</div>
    </div>
    ${status === null ? html`<p aria-busy="true">Loading the queue</p>` : figures(status)}
    <section>
      <h2>Machines</h2>
      ${nodes.body()}
    </section>
    ${throughput.body()}
    <section>
      <h2>Latest failures</h2>
      ${failures()}
    </section>`;

  const failures = () => {
    if (failed === null) return html`<p aria-busy="true">Loading</p>`;
    if (!failed.length)
      return html`<p class="empty">
        None. Chunks that fail again and again end up in quarantine.</p>`;
    return html`<ul class="plain-list">${failed.map((chunk) => {
      const error = chunk.errors.at(-1);
      return html`<li>
        <div class="line-up"><a href="/quarantine">${name(chunk.label)}</a>
          <small>${since(chunk.failed_at)}</small></div>
        <small class="clipped" title=${visible(error?.message)}>${foreign(
          error?.message ?? "No reason was kept.",
        )}</small>
      </li>`;
    })}</ul>`;
  };

  nodes = nodesPanel(page, draw);
  throughput = throughputPanel(page, draw);
  follow(
    "status",
    (update) => {
      status = update;
      draw();
    },
    page.signal,
  );
  onQueueChange(
    async () => {
      const query = { limit: LATEST_ERRORS };
      failed = (await api("GET", "/api/quarantine", { query, signal: page.signal })).chunks;
      draw();
    },
    page.signal,
    5,
  );
  draw();
}
