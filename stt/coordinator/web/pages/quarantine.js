// Quarantine: chunks that failed again and again, why, how they sound, and another try. With
// `?recording=ID` those of one recording.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { api } from "../api.js";
import { confirm } from "../dialogs.js";
import { onQueueChange } from "../reloading.js";
import { clock, date, length, plural } from "../format.js";
import { foreign, moreButton, name, since } from "../markup.js";
import { notice } from "../notices.js";
import { retryChunk } from "../recording_actions.js";
import { visible } from "../visible.js";

const PAGE = 50;

export function open(page) {
  const source = page.query.get("recording");
  let { chunks = null, cursor = null, total = 0 } = page.kept;
  page.keep(() => ({ chunks, cursor, total }));

  const draw = () =>
    page.draw(html`
    <div class="heading">
      <h1>Quarantine</h1>
      ${
        total
          ? html`<button class="outline" @click=${retryAll}>
              Retry all ${plural(total, "chunk")}</button>`
          : nothing
      }
    </div>
    ${source ? html`<p>Of one recording. <a href="/quarantine">Show all</a></p>` : nothing}
    ${
      chunks === null
        ? html`<p aria-busy="true">Loading</p>`
        : chunks.length
          ? html`
        <ul class="plain-list quarantined">${repeat(chunks, (chunk) => chunk.id, row)}</ul>
        ${cursor ? moreButton(more) : nothing}`
          : html`<p class="empty" role="status">Nothing is here. A chunk that fails three times, or
          takes its worker down with it, waits here until you retry it.</p>`
    }`);

  const row = (chunk) => html`
    <li>
      <div class="line-up">
        <h2>${heading(chunk)}</h2>
        <small>${place(chunk)} · ${since(chunk.failed_at)}</small>
      </div>
      ${history(chunk)}
      <div class="actions">
        <audio controls preload="none" src="/chunks/${chunk.id}.${chunk.format ?? "opus"}"
               aria-label=${`Listen to ${visible(chunk.label)}, ${place(chunk)}`}></audio>
        <button class="small" @click=${() => retry(chunk)}
                aria-label=${`Retry ${visible(chunk.label)}, ${place(chunk)}`}>Retry</button>
      </div>
    </li>`;

  const heading = ({ source_id: id, offset, label }) =>
    id ? html`<a href="/recordings/${id}?t=${offset ?? 0}">${name(label)}</a>` : name(label);

  const place = ({ index, offset, duration }) =>
    offset == null
      ? `chunk ${index + 1}`
      : duration == null
        ? clock(offset)
        : `${clock(offset)} to ${clock(offset + duration)}, ${length(duration)}`;

  const history = ({ errors, attempts, expirations }) => html`
    <p class="reason">${foreign(errors.at(-1)?.message ?? "No reason was kept.")}</p>
    <details class="more">
      <summary>${
        [
          attempts ? plural(attempts, "failed attempt") : "",
          expirations ? `${plural(expirations, "worker")} vanished with it` : "",
        ]
          .filter(Boolean)
          .join(", ") || "History"
      }</summary>
      <ol class="errors">${errors.map(
        (error) => html`
        <li><time datetime=${error.at ?? ""}>${date(error.at)}</time> <code>${error.kind}</code>
          ${foreign(error.message)}
          <small>${error.worker ? foreign(error.worker) : nothing}${
            error.server ? html` at ${foreign(error.server)}` : nothing
          }</small></li>`,
      )}</ol>
    </details>`;

  const retry = (chunk) =>
    page.attempt(async () => {
      if (await retryChunk(chunk)) await reload(true);
    });

  const retryAll = async () => {
    const isSure = await confirm(
      "Retry all",
      `${plural(total, "chunk")} go back to the queue, with a clean record.`,
      "Retry all",
    );
    if (!isSure) return;
    await page.attempt(async () => {
      const body = source ? { source_id: source } : {};
      const { chunks: count } = await api("POST", "/api/queue/retry", { body });
      notice(`${plural(count, "chunk")} back in the queue`);
      await reload(true);
    });
  };

  const load = (from) =>
    api("GET", "/api/quarantine", {
      query: { cursor: from, limit: PAGE, source_id: source },
      signal: page.signal,
    });

  const loadFirst = async () => {
    const answer = await load(null);
    const fresh = new Set(answer.chunks.map((chunk) => chunk.id));
    // What is being listened to further down stays, while the queue moves on.
    const isLong = (chunks?.length ?? 0) > PAGE && answer.cursor !== null;
    chunks = isLong
      ? [...answer.chunks, ...chunks.slice(PAGE).filter((chunk) => !fresh.has(chunk.id))]
      : answer.chunks;
    if (!isLong) ({ cursor } = answer);
    ({ total } = answer);
    draw();
  };

  const more = () =>
    page.attempt(async () => {
      const answer = await load(cursor);
      const known = new Set(chunks.map((chunk) => chunk.id));
      chunks = [...chunks, ...answer.chunks.filter((chunk) => !known.has(chunk.id))];
      ({ cursor, total } = answer);
      draw();
    });

  const reload = onQueueChange(loadFirst, page.signal);
  draw();
  page.place();
}
