// Recordings: all of them, page by page, searched by name and filtered by state.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { live } from "../vendor/lit-html/directives/live.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { api, withQuery } from "../api.js";
import { recordingProgress, recordingState } from "../chunk_states.js";
import { onQueueChange } from "../reloading.js";
import { date, day, length, plural } from "../format.js";
import { badge, moreButton, name } from "../markup.js";

const PAGE = 50;
const TYPING_MILLISECONDS = 250;
const FILTERS = [
  ["all", "All"],
  ["open", "Unfinished"],
  ["done", "Done"],
  ["failed", "With failures"],
];

export function open(page) {
  let search = page.query.get("search") ?? "";
  let state = page.query.get("state") ?? "all";
  if (!FILTERS.some(([value]) => value === state)) state = "all";
  // What has been loaded, page by page: each `{cursor, recordings, next}`.
  let { pages = [], total = null } = page.kept;
  let isLoading = false;
  let typing = 0;
  // The number of searches and changes of the filter; `shown` is that of what is in `pages`.
  let question = 0;
  let shown = total === null ? -1 : 0;
  page.keep(() => (shown === question ? { pages, total } : {}));

  const draw = () =>
    page.draw(html`
    <div class="heading">
      <h1>Recordings</h1>
      <a role="button" href="/upload">Upload</a>
    </div>
    <search><form class="filters" @submit=${(event) => event.preventDefault()}>
      <input type="search" name="search" placeholder="Search by name" aria-label="Search by name"
             maxlength="200" .value=${live(search)} @input=${type}>
      <select name="state" aria-label="State" @change=${(event) => {
        state = event.target.value;
        begin();
      }}>
        ${FILTERS.map(
          ([value, text]) =>
            html`<option value=${value} ?selected=${value === state}>${text}</option>`,
        )}
      </select>
    </form></search>
    ${total === null ? html`<p aria-busy="true">Loading</p>` : nothing}
    ${total !== null ? html`<div aria-busy=${shown !== question}>${found()}</div>` : nothing}`);

  const found = () => {
    const all = pages.flatMap(({ recordings }) => recordings);
    // One that moved from page to page between two loads shows once.
    const rows = [...new Map(all.map((recording) => [recording.id, recording])).values()];
    if (!rows.length) return emptyState();
    const last = pages.at(-1);
    return html`
      <p class="summary" role="status">${plural(total, "recording")}</p>
      <table class="list recordings-list">
        <thead><tr><th scope="col">Name</th><th scope="col">Length</th><th scope="col">Added</th>
          <th scope="col">Progress</th><th scope="col">State</th></tr></thead>
        <tbody>${repeat(
          rows,
          (recording) => recording.id,
          (recording) => html`
          <tr>
            <th scope="row">
              <a href="/recordings/${recording.id}">${name(recording.label)}</a></th>
            <td>${recording.duration == null ? "–" : length(recording.duration)}</td>
            <td><time datetime=${recording.created_at ?? ""} title=${date(recording.created_at)}>
              ${day(recording.created_at)}</time></td>
            <td class="progress-cell">${recordingProgress(recording)}</td>
            <td>${badge(recordingState(recording))}</td>
          </tr>`,
        )}</tbody>
      </table>
      ${last.next ? moreButton(more, isLoading) : nothing}`;
  };

  const emptyState = () =>
    search || state !== "all"
      ? html`<p class="empty" role="status">No recording matches.</p>`
      : html`<p class="empty" role="status">
          No recordings yet. <a href="/upload">Upload the first one.</a></p>`;

  const type = (event) => {
    search = event.target.value;
    clearTimeout(typing);
    typing = setTimeout(begin, TYPING_MILLISECONDS);
  };

  const load = (cursor) =>
    api("GET", "/api/recordings", {
      query: { search: search.trim(), state, cursor, limit: PAGE, sort: "new" },
      signal: page.signal,
    });

  /** Ask for what is searched for and filtered now. */
  const begin = () => {
    question += 1;
    const query = { search: search.trim(), state: state === "all" ? "" : state };
    history.replaceState(history.state, "", withQuery("/recordings", query));
    draw();
    reload(true);
  };

  const more = () =>
    page.attempt(async () => {
      if (isLoading) return;
      isLoading = true;
      const mine = question;
      const cursor = pages.at(-1).next;
      draw();
      try {
        const answer = await load(cursor);
        if (mine === question)
          pages.push({ cursor, recordings: answer.recordings, next: answer.cursor });
      } finally {
        isLoading = false;
        draw();
      }
    });

  /** Load the first page again, where new ones come in, and those with open recordings. */
  const loadAgain = async () => {
    const mine = question;
    if (shown !== mine) {
      const first = await load(null);
      if (mine !== question) return;
      pages = [{ cursor: null, recordings: first.recordings, next: first.cursor }];
      ({ total } = first);
      shown = mine;
      return draw();
    }
    for (const [index, loaded] of [...pages.entries()]) {
      if (index && loaded.recordings.every(isSettled)) continue;
      const answer = await load(loaded.cursor);
      if (mine !== question) return;
      if (!index) ({ total } = answer);
      pages = pages.with(index, merged(loaded, answer));
      draw();
    }
  };
  const isSettled = (recording) =>
    ["done", "with failures", "failed"].includes(recordingState(recording));

  const reload = onQueueChange(loadAgain, page.signal);
  draw();
  page.place();
}

/** A page as it is now; what new ones have pushed out of it stays at its end. */
function merged(shown, answer) {
  const ids = new Set(answer.recordings.map((recording) => recording.id));
  const end = answer.recordings.at(-1)?.created_at;
  const pushed =
    answer.cursor === null
      ? []
      : shown.recordings.filter(
          (recording) => !ids.has(recording.id) && recording.created_at <= end,
        );
  return {
    cursor: shown.cursor,
    recordings: [...answer.recordings, ...pushed],
    next: pushed.length ? shown.next : answer.cursor,
  };
}
