// Recordings: all of them, page by page, filtered and sorted; and what can be done with many at once.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { live } from "../vendor/lit-html/directives/live.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { api } from "../api.js";
import * as bulk from "../bulk_actions.js";
import { recordingProgress, recordingState } from "../chunk_states.js";
import { onQueueChange } from "../reloading.js";
import { date, day, length, number, plural } from "../format.js";
import { badge, foreign, moreButton, name } from "../markup.js";
import { languageName } from "../option_fields.js";
import {
  addressOf,
  filterForm,
  isEmpty,
  panelOf,
  readFilter,
  requestOf,
  withoutFilter,
} from "../recording_filters.js";
import { Selection } from "../selection.js";
import { visible } from "../visible.js";

const PAGE = 50;
const MAX_PAGE = 200;
const TYPING_MILLISECONDS = 250;
// What a heading sorts by: the first order, and the one after a second click.
const COLUMNS = [
  ["Name", "name", "-name"],
  ["Length", "-length", "length"],
  ["Recorded", "-recorded", "recorded"],
  ["Added", "", "old"],
  ["Progress"],
  ["State", "-state", "state"],
];

export function open(page) {
  let filter = readFilter(page.query);
  // `next`: the cursor of what follows the rows that are shown, null at the end.
  let { rows = [], next = null, total = null } = page.kept;
  let isLoading = false;
  let typing = 0;
  // The number of searches and changes of the filter; `shown` is that of `rows`.
  let question = 0;
  let shown = total === null ? -1 : 0;
  let isAnswer = false; // Whether a person has asked for what is drawn: it is read aloud then.
  let allCount = null; // How many there were when all were selected.
  const selection = new Selection(
    () => rows.map(({ id }) => id),
    () => draw(),
    page.kept.selected,
  );
  const panel = panelOf(page, () => draw(), page.kept.panel);
  page.keep(() =>
    shown === question ? { rows, next, total, panel, selected: selection.kept } : {},
  );

  const draw = () =>
    page.draw(html`
    <div class="heading">
      <h1>Recordings</h1>
      <a role="button" href="/upload">Upload</a>
    </div>
    ${filterForm(filter, panel, change)}
    ${total === null ? html`<p aria-busy="true">Loading</p>` : nothing}
    ${total !== null ? html`<div aria-busy=${shown !== question}>${found()}</div>` : nothing}`);

  const found = () => {
    if (!rows.length) return html`${jobLine()}${emptyState()}`;
    return html`
      ${selection.isEmpty && !bulk.job ? summary() : actionBar()}
      <table class="list recordings-list">
        <thead><tr><th scope="col">${selectShown()}</th>${COLUMNS.map(heading)}</tr></thead>
        <tbody>${repeat(rows, (recording) => recording.id, row)}</tbody>
      </table>
      ${next ? moreButton(more, isLoading) : nothing}`;
  };

  const summary = () => html`<p class="summary" role="status" aria-live=${
    isAnswer ? "polite" : "off"
  }>${plural(total, "recording")}</p>`;

  const heading = ([text, first, second]) => {
    if (first === undefined) return html`<th scope="col">${text}</th>`;
    const isFirst = filter.sort === first;
    const isDown = (isFirst ? first : second).startsWith("-") || (!first && isFirst);
    const order = isFirst || filter.sort === second ? (isDown ? "descending" : "ascending") : null;
    return html`
      <th scope="col" aria-sort=${order ?? nothing}>
        <button class="plain" @click=${() => change({ sort: isFirst ? second : first })}>${text}${
          order ? html` <span aria-hidden="true">${isDown ? "↓" : "↑"}</span>` : nothing
        }</button></th>`;
  };

  const selectShown = () => html`
    <input type="checkbox" aria-label="Select all that are shown"
           .checked=${live(selection.hasAllShown)}
           @change=${(event) => selection.setShown(event.target.checked)}>`;

  const row = (recording) => html`
    <tr class=${selection.has(recording.id) ? "is-selected" : ""}>
      <td><input type="checkbox" aria-label=${`Select ${visible(recording.label)}`}
                 .checked=${live(selection.has(recording.id))} @click=${(event) =>
                   selection.set(recording.id, event.target.checked, event.shiftKey)}></td>
      <th scope="row">
        <a href="/recordings/${recording.id}">${name(recording.label)}</a>${details(recording)}</th>
      <td>${recording.duration == null ? "–" : length(recording.duration)}</td>
      <td>${onDay(recording.start)}</td>
      <td>${onDay(recording.created_at)}</td>
      <td class="progress-cell">${recordingProgress(recording)}</td>
      <td>${badge(recordingState(recording))}</td>
    </tr>`;

  const onDay = (iso) =>
    html`<time datetime=${iso ?? ""} title=${date(iso)}>${day(iso)}</time>`;

  /** Where it was, and what its text is in and made with. */
  const details = (recording) => {
    const languages = recording.text_languages.map(languageName);
    const facts = [recording.full_folder, ...languages, ...recording.text_models].filter(Boolean);
    return facts.length
      ? html`<small>${facts.map((fact, i) => html`${i ? " · " : ""}${foreign(fact)}`)}</small>`
      : nothing;
  };

  const emptyState = () =>
    isEmpty(filter)
      ? html`<p class="empty" role="status">
          No recordings yet. <a href="/upload">Upload the first one.</a></p>`
      : html`<p class="empty" role="status">No recording matches.
          <button class="plain" @click=${() => change(withoutFilter(filter))}>
            Show all recordings</button></p>`;

  const actionBar = () => {
    const count = selection.isAll ? total : selection.ids.size;
    const isMore = !selection.isAll && selection.hasAllShown && total > count;
    return html`
      <div class="action-bar" role="region" aria-label="What to do with those that are selected">
        ${jobLine()}
        ${
          bulk.job
            ? nothing
            : html`
          <strong role="status" aria-live=${
            selection.isAll && count !== allCount ? "off" : "polite"
          }>${number(count)} selected</strong>
          ${
            isMore
              ? html`<button class="plain" @click=${() => {
                allCount = total;
                selection.setAll();
              }}>
                  Select all ${number(total)}</button>`
              : nothing
          }
          <button class="plain" @click=${() => selection.clear()}>Clear</button>
          <span class="grow"></span>
          <button class="small outline" @click=${download}>Download</button>
          <button class="small outline" @click=${again}>Transcribe again</button>
          <button class="small danger" @click=${remove}>Delete</button>`
        }
      </div>`;
  };

  const jobLine = () =>
    bulk.job
      ? html`
        <span>${bulk.job.text}: ${number(bulk.job.done)} of
          ${number(bulk.job.total)}</span>
        <progress value=${bulk.job.done} max=${bulk.job.total} aria-label=${bulk.job.text}></progress>
        <button class="small outline" @click=${stop}>Stop</button>`
      : nothing;

  const stop = () => {
    bulk.job.isStopped = true;
  };

  const download = () => {
    const query = selection.isAll ? requestOf(filter) : { id: [...selection.ids] };
    return bulk.download(selection.isAll ? total : selection.ids.size, query);
  };

  const again = () =>
    changeSelected((ids) => {
      const names = new Map(rows.map(({ id, label }) => [id, label]));
      return bulk.transcribeAgain(ids, names, draw);
    });
  const remove = () => changeSelected((ids) => bulk.remove(ids, draw));

  const changeSelected = (work) =>
    page.attempt(async () => {
      if (!(await work(await selectedIds()))) return;
      selection.clear();
      await reload(true);
    });

  const selectedIds = async () => {
    if (!selection.isAll) return [...selection.ids];
    const query = requestOf(filter);
    return (await api("GET", "/api/recordings/ids", { query, signal: page.signal })).ids;
  };

  /** Show what the filter is from now on; `isTyping`: after a pause. */
  const change = (changed, isTyping = false) => {
    filter = { ...filter, ...changed };
    clearTimeout(typing);
    if (isTyping) typing = setTimeout(begin, TYPING_MILLISECONDS);
    else begin();
  };

  const load = (cursor, limit) =>
    api("GET", "/api/recordings", {
      query: { ...requestOf(filter), cursor, limit, sort: filter.sort },
      signal: page.signal,
    });

  /** Ask for what is searched for and filtered now. */
  const begin = () => {
    question += 1;
    history.replaceState(history.state, "", addressOf(filter));
    selection.clear();
    reload(true);
  };

  const more = () =>
    page.attempt(async () => {
      if (isLoading) return;
      isLoading = true;
      const mine = question;
      draw();
      try {
        const answer = await load(next, PAGE);
        if (mine === question) show([...rows, ...answer.recordings], answer);
      } finally {
        isLoading = false;
        draw();
      }
    });

  /** Load as many as are shown again: new ones come in, others change or go. */
  const loadAgain = async () => {
    const mine = question;
    const wanted = shown === mine ? Math.max(rows.length, PAGE) : PAGE;
    const fresh = [];
    let answer = { cursor: null };
    do {
      answer = await load(answer.cursor, Math.min(wanted - fresh.length, MAX_PAGE));
      if (mine !== question) return;
      fresh.push(...answer.recordings);
    } while (answer.cursor && fresh.length < wanted);
    if (isLoading) return reload(); // The next rows are on their way.
    isAnswer = shown !== mine;
    show(fresh, answer);
    shown = mine;
    draw();
  };

  const show = (recordings, answer) => {
    // One that moved from page to page between two loads shows once.
    rows = [...new Map(recordings.map((recording) => [recording.id, recording])).values()];
    next = answer.cursor;
    ({ total } = answer);
  };

  const reload = onQueueChange(loadAgain, page.signal);
  draw();
  page.place();
}
