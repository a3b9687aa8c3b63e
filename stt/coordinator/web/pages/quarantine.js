// Quarantine: chunks that failed again and again, why, how they sound, and what can be done. With
// `?recording=ID` those of one recording; with `?dismissed=1` those that were dismissed.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { api, withQuery } from "../api.js";
import { confirm } from "../dialogs.js";
import { onQueueChange } from "../reloading.js";
import { clock, date, length, plural } from "../format.js";
import { foreign, moreButton, name, since } from "../markup.js";
import { notice } from "../notices.js";
import { remove, retryChunk } from "../recording_actions.js";
import { visible } from "../visible.js";

const PAGE = 50;

export function open(page) {
  const source = page.query.get("recording");
  const isDismissed = page.query.has("dismissed");
  let { chunks = null, cursor = null, total = 0, dismissed = 0 } = page.kept;
  page.keep(() => ({ chunks, cursor, total, dismissed }));

  const draw = () =>
    page.draw(html`
    <div class="heading">
      <h1>${isDismissed ? "Dismissed" : "Quarantine"}</h1>
      ${total && !isDismissed ? forAll() : nothing}
    </div>
    ${source ? html`<p>Of one recording. <a href=${here({})}>Show all</a></p>` : nothing}
    ${
      chunks === null
        ? html`<p aria-busy="true">Loading</p>`
        : chunks.length
          ? html`
        <ul class="plain-list quarantined">${repeat(chunks, (chunk) => chunk.id, row)}</ul>
        ${cursor ? moreButton(more) : nothing}`
          : emptyState()
    }
    ${chunks === null ? nothing : others()}`);

  const here = ({ recording = null, isFor = isDismissed }) =>
    withQuery("/quarantine", { recording, dismissed: isFor ? "1" : null });

  const forAll = () => html`
    <div class="actions">
      <button class="outline secondary" @click=${dismissAll}>Dismiss all</button>
      <button class="outline" @click=${retryAll}>Retry all ${plural(total, "chunk")}</button>
    </div>`;

  const emptyState = () =>
    isDismissed
      ? html`<p class="empty" role="status">No failure is dismissed.</p>`
      : html`<p class="empty" role="status">Nothing is here. A chunk that fails three times, or
          takes its worker down with it, waits here until you retry or dismiss it. Files that cannot be read are listed on
          <a href="/upload">Upload</a>.</p>`;

  const others = () => {
    if (isDismissed)
      return html`<p><a href=${here({ recording: source, isFor: false })}>Quarantine</a></p>`;
    if (!dismissed) return nothing;
    return html`<p><a href=${here({ recording: source, isFor: true })}>
      Show ${plural(dismissed, "dismissed chunk")}</a></p>`;
  };

  const row = (chunk) => {
    const label = `${visible(chunk.label)}, ${place(chunk)}`;
    return html`
    <li>
      <div class="line-up">
        <h2>${heading(chunk)}</h2>
        <small>${place(chunk)} · ${since(chunk.failed_at)}</small>
      </div>
      <p class="reason"><strong>${chunk.reason}</strong> ${chunk.advice}</p>
      ${history(chunk)}
      <div class="actions">
        <audio controls preload="none" src="/chunks/${chunk.id}.${chunk.format ?? "opus"}"
               aria-label=${`Listen to ${label}`}></audio>
        <button class="small" @click=${() => retry(chunk)}
                aria-label=${`Retry ${label}`}>Retry</button>
        ${
          isDismissed
            ? html`<button class="small outline" @click=${() => putBack(chunk)}
                    aria-label=${`Put back ${label}`}>Put back</button>`
            : html`<button class="small outline" @click=${() => dismiss(chunk)}
                    aria-label=${`Dismiss ${label}`}>Dismiss</button>`
        }
        ${
          chunk.source_id
            ? html`<button class="small danger" @click=${() => removeRecording(chunk)}
                aria-label=${`Delete recording ${visible(chunk.label)}`}>Delete recording</button>`
            : nothing
        }
      </div>
    </li>`;
  };

  const heading = ({ source_id: id, offset, label }) =>
    id ? html`<a href="/recordings/${id}?t=${offset ?? 0}">${name(label)}</a>` : name(label);

  const place = ({ index, offset, duration }) =>
    offset == null
      ? `chunk ${index + 1}`
      : duration == null
        ? clock(offset)
        : `${clock(offset)} to ${clock(offset + duration)}, ${length(duration)}`;

  const history = ({ errors, attempts, expirations }) => html`
    ${errors.length ? html`<p class="message">${foreign(errors.at(-1).message)}</p>` : nothing}
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
      if (await retryChunk(chunk)) await leave(chunk);
    });

  const dismiss = (chunk) =>
    page.attempt(async () => {
      await api("POST", `/api/queue/${chunk.id}/dismiss`);
      notice("Dismissed: its text stays missing");
      await leave(chunk);
    });

  const putBack = (chunk) =>
    page.attempt(async () => {
      await api("POST", `/api/queue/${chunk.id}/put-back`);
      notice("Back in the quarantine");
      await leave(chunk);
    });

  const removeRecording = (chunk) =>
    page.attempt(async () => {
      if (!(await remove({ id: chunk.source_id, label: chunk.label }))) return;
      const others = chunks.filter(({ source_id: id }) => id !== chunk.source_id);
      await leave(chunk, others);
    });

  /** Show the list without a chunk, also where it is on a later page. */
  const leave = (chunk, others = chunks.filter(({ id }) => id !== chunk.id)) => {
    chunks = others;
    return reload(true);
  };

  const dismissAll = async () => {
    const isSure = await confirm(
      "Dismiss all",
      `${plural(total, "chunk")} stay failed: their text is missing, and nothing asks for them any
        more. Each can be put back or retried later.`,
      "Dismiss all",
    );
    if (!isSure) return;
    await page.attempt(async () => {
      const body = source ? { source_id: source } : {};
      const { chunks: count } = await api("POST", "/api/queue/dismiss", { body });
      notice(`${plural(count, "chunk")} dismissed`);
      await reload(true);
    });
  };

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
      query: { cursor: from, limit: PAGE, source_id: source, dismissed: isDismissed },
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
    ({ total, dismissed } = answer);
    draw();
  };

  const more = () =>
    page.attempt(async () => {
      const answer = await load(cursor);
      const known = new Set(chunks.map((chunk) => chunk.id));
      chunks = [...chunks, ...answer.chunks.filter((chunk) => !known.has(chunk.id))];
      ({ cursor, total, dismissed } = answer);
      draw();
    });

  const reload = onQueueChange(loadFirst, page.signal);
  draw();
  page.place();
}
