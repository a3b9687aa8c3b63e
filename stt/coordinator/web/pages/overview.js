// Overview: how the queue stands, how fast it goes, who is at work, and what went wrong.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { api } from "../api.js";
import { throughputChart } from "../chart.js";
import { stateBar } from "../chunk_states.js";
import { every, loader, onQueueChange } from "../reloading.js";
import { hour, hours, length, number, oneDigit, plural } from "../format.js";
import { follow } from "../live.js";
import { badge, foreign, name, since } from "../markup.js";
import { jobList } from "../node_jobs.js";
import { visible } from "../visible.js";

const LATEST_ERRORS = 5;

export function open(page) {
  let status = null;
  let nodes = null;
  let workers = [];
  let failed = null;
  let buckets = null;
  let pointed = null;
  let showBuckets = null;

  const draw = () => {
    page.draw(template());
    const host = document.querySelector("#throughput");
    if (host && buckets && !showBuckets) {
      showBuckets = throughputChart(
        host,
        (words) => {
          pointed = words;
          draw();
        },
        page.signal,
      );
      showBuckets(buckets);
    }
  };

  const template = () => html`
    <h1>Overview</h1>
    ${
      status === null
        ? html`<p aria-busy="true">Loading the queue</p>`
        : html`
      ${status.counts.total ? nothing : welcome()}
      <section class="tiles" aria-label="Figures">
        ${queueTile()} ${audioTile()} ${etaTile()} ${nodesTile()} ${errorsTile()}
      </section>`
    }
    <section>
      <h2>Throughput of the last day</h2>
      <figure class="chart">
        <div id="throughput" aria-hidden="true"></div>
        <figcaption>${pointed ?? daySummary()}</figcaption>
      </figure>
      ${buckets?.some((bucket) => bucket.chunks || bucket.failed) ? bucketTable() : nothing}
    </section>
    <div class="columns">
      <section>
        <h2>At work</h2>
        ${atWork()}
      </section>
      <section>
        <h2>Latest failures</h2>
        ${failures()}
      </section>
    </div>`;

  const welcome = () => html`
    <article class="welcome">
      <h2>Nothing here yet</h2>
      <p>Drop a recording in, and every machine that has joined works on it.</p>
      <p class="actions"><a role="button" href="/upload">Upload a recording</a>
        <a role="button" class="secondary outline" href="/nodes">Join a machine</a></p>
    </article>`;

  const queueTile = () => html`
    <article class="tile wide">
      <h3>Queue</h3>
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
          ${chunks === 1 ? "waits" : "wait"} for ${model === "speakers" ? model : `model ${model}`}, which no worker has</small>`,
      )}
    </article>`;

  const audioTile = () => html`
    <article class="tile">
      <h3>Audio done</h3>
      <p class="figure">${hours(status.audio_seconds_done)}</p>
      <progress max=${Math.max(status.audio_seconds_total, 1)} value=${status.audio_seconds_done}
                aria-label="Audio done"></progress>
      <small>of ${hours(status.audio_seconds_total)}</small>
    </article>`;

  const etaTile = () => {
    const { counts, eta_seconds: eta, rate } = status;
    const isOpen = counts.pending + counts.processing > 0;
    const end = eta == null ? "" : hour(new Date(Date.now() + eta * 1_000).toISOString());
    const words = !isOpen ? "All done" : eta == null ? "Unknown" : length(eta);
    return html`
      <article class="tile">
        <h3>Time left</h3>
        <p class="figure">${words}</p>
        <small>${isOpen && eta != null && eta < 86_400 ? `until about ${end} · ` : ""}${
          rate.audio_seconds_per_second
            ? `${oneDigit(rate.audio_seconds_per_second)} × real time, ` +
              `${oneDigit(rate.chunks_per_minute)} chunks a minute`
            : "nothing finished in the last minutes"
        }</small>
      </article>`;
  };

  const nodesTile = () => {
    const { busy, online, offline } = status.nodes;
    const all = busy + online + offline;
    return html`
      <article class="tile">
        <h3>Nodes</h3>
        <p class="figure">${number(busy + online)}
          <small>${all ? `of ${number(all)}` : "have joined"}</small></p>
        <small>${
          all ? `${number(busy)} busy, ${number(online)} idle, ${number(offline)} offline · ` : ""
        }${plural(status.workers_alive, "worker")} at work</small>
      </article>`;
  };

  const errorsTile = () => html`
    <article class="tile">
      <h3>Errors in the last hour</h3>
      <p class="figure ${status.errors_last_hour ? "wrong" : ""}">${number(
        status.errors_last_hour,
      )}</p>
      <small>${
        status.counts.failed
          ? html`<a href="/quarantine">${plural(status.counts.failed, "chunk")} in quarantine</a>`
          : "nothing in quarantine"
      }</small>
    </article>`;

  const daySummary = () => {
    if (!buckets) return " ";
    const chunks = buckets.reduce((sum, bucket) => sum + bucket.chunks, 0);
    const seconds = buckets.reduce((sum, bucket) => sum + bucket.audio_seconds, 0);
    return chunks
      ? `${hours(seconds)} of audio in ${plural(chunks, "chunk")}. Point at a bar for its hour.`
      : "Nothing was transcribed in the last day.";
  };

  const bucketTable = () => html`
    <details>
      <summary>As a table</summary>
      <div class="scroll"><table>
        <thead><tr><th scope="col">From</th><th scope="col">Audio</th><th scope="col">Chunks</th>
          <th scope="col">Failed</th></tr></thead>
        <tbody>${buckets
          .filter((bucket) => bucket.chunks || bucket.failed)
          .map(
            (bucket) => html`
          <tr><th scope="row">${hour(bucket.at)}</th><td>${hours(bucket.audio_seconds)}</td>
            <td>${number(bucket.chunks)}</td><td>${number(bucket.failed)}</td></tr>`,
          )}</tbody>
      </table></div>
    </details>`;

  const atWork = () => {
    if (nodes === null) return html`<p aria-busy="true">Loading</p>`;
    const here = nodes.filter((node) => node.state !== "offline");
    const local = workers.filter((worker) => worker.is_alive && !worker.node_id);
    if (!here.length && !local.length) {
      return html`<p class="empty">No machine. <a href="/nodes">Join one</a>, or start
        <code>stt</code> on one that reaches the database.</p>`;
    }
    return html`<ul class="plain-list">
      ${here.map(
        (node) => html`
        <li><div class="line-up"><a href="/nodes">${name(node.name)}</a> ${badge(node.state)}</div>
          ${jobList(node)}</li>`,
      )}
      ${local.map(
        (worker) => html`
        <li><div class="line-up">${name(worker.id)}
            ${badge(worker.chunks.length ? "busy" : "online")}</div>
          <small>a worker at the database, ${
            worker.chunks.length ? `transcribing ${plural(worker.chunks.length, "chunk")}` : "idle"
          }</small></li>`,
      )}
    </ul>`;
  };

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

  const loadThroughput = loader(async () => {
    ({ buckets } = await api("GET", "/api/queue/throughput", {
      query: { hours: 24 },
      signal: page.signal,
    }));
    showBuckets?.(buckets);
    draw();
  }, page.signal);
  follow(
    "status",
    (update) => {
      status = update;
      draw();
    },
    page.signal,
  );
  follow(
    "nodes",
    (update) => {
      nodes = update;
      draw();
    },
    page.signal,
  );
  onQueueChange(
    async () => {
      const { signal } = page;
      const [quarantine, known] = await Promise.all([
        api("GET", "/api/quarantine", { query: { limit: LATEST_ERRORS }, signal }),
        api("GET", "/api/workers", { signal }),
      ]);
      failed = quarantine.chunks;
      ({ workers } = known);
      draw();
    },
    page.signal,
    5,
  );
  loadThroughput();
  every(5, draw, page.signal);
  every(60, loadThroughput, page.signal);
  draw();
}
