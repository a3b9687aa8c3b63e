// Search: words in all transcripts, or in those of some recordings, and what a speaker says; a hit
// leads to the place where it is said.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { live } from "../vendor/lit-html/directives/live.js";
import { api, withQuery } from "../api.js";
import { clock, plural } from "../format.js";
import { foreign, moreButton, name, speakerMark } from "../markup.js";
import { filterPanel, isEmpty, panelOf, readFilter, requestOf } from "../recording_filters.js";

const PAGE = 30;
const HINT = `Every word has to occur in the same piece of a recording, about half a minute.
  "Words in quotes" are found as a phrase, and word* finds all words that begin so. A speaker's name
  without words finds all that this one says.`;

export function open(page) {
  let words = page.query.get("q") ?? "";
  let speaker = page.query.get("speaker") ?? "";
  let filter = readFilter(page.query);
  let { asked = null, hits = null, cursor = null } = page.kept;
  const panel = panelOf(page, () => draw(), page.kept.panel);
  page.keep(() => ({ asked, hits, cursor, panel }));
  let isBusy = false;
  let question = 0;

  const draw = () =>
    page.draw(html`
    <h1>Search</h1>
    <search><form class="search-form" @submit=${submit}>
      <div class="filters">
      <input type="search" name="q" placeholder="Words that were said"
             aria-label="Words that were said" maxlength="200" ?required=${!speaker.trim()}
             autofocus .value=${live(words)}
             @input=${(event) => {
               words = event.target.value;
             }}>
      <input name="speaker" placeholder="By any speaker" aria-label="Speaker"
             maxlength="100" autocomplete="off" .value=${live(speaker)}
             @input=${(event) => {
               speaker = event.target.value;
               draw();
             }}>
      <button type="submit" aria-busy=${isBusy}>Search</button>
      </div>
      ${filterPanel(filter, panel, change)}
    </form></search>
    <div aria-live="polite">${summary()}</div>
    ${groups().map(
      ([recordingId, found]) => html`
      <section class="hits">
        <h2><a href="/recordings/${recordingId}">${name(found[0].label)}</a></h2>
        <ul class="plain-list">${found.map(
          (hit) => html`
          <li><a class="hit" href=${place(hit)}>
            <time>${clock(hit.start)}</time>
            <span dir="auto">${speakerMark(hit)}${marked(hit)}</span></a></li>`,
        )}
        </ul>
      </section>`,
    )}
    ${cursor ? moreButton(more, isBusy) : nothing}`);

  const summary = () => {
    if (hits === null) {
      return html`<p class="empty">${isBusy ? "Searching" : HINT}</p>`;
    }
    if (!hits.length)
      return html`<p class="empty">Not found in what is transcribed so far${
        isEmpty(filter) ? "" : " of the recordings that match"
      }${asked.speaker ? html`, by a speaker with the name ${foreign(asked.speaker)}` : ""}.</p>`;
    return html`<p class="summary">${plural(hits.length, "place")}${
      cursor ? ", and more" : ""
    }</p>`;
  };

  /** Hits of one recording stand together, in the order in which they came. */
  const groups = () => {
    const found = new Map();
    for (const hit of hits ?? [])
      found.set(hit.source_id, [...(found.get(hit.source_id) ?? []), hit]);
    return [...found];
  };

  const submit = (event) => {
    event.preventDefault();
    ask();
  };

  const change = (changed) => {
    filter = { ...filter, ...changed };
    ask();
  };

  const typed = () => ({ q: words.trim(), speaker: speaker.trim() });

  const ask = () => {
    const query = { ...typed(), ...filter };
    history.replaceState(history.state, "", withQuery("/search", query));
    draw();
    begin();
  };

  const begin = () =>
    page.attempt(async () => {
      const mine = (question += 1);
      asked = typed();
      if (!asked.q && !asked.speaker) return;
      [hits, cursor, isBusy] = [null, null, true];
      draw();
      try {
        const answer = await load(null);
        if (mine === question) [hits, cursor] = [answer.hits, answer.cursor];
      } finally {
        if (mine === question) isBusy = false;
        draw();
      }
    });

  const more = () =>
    page.attempt(async () => {
      if (isBusy) return;
      isBusy = true;
      draw();
      const mine = question;
      try {
        const answer = await load(cursor);
        if (mine === question) [hits, cursor] = [[...hits, ...answer.hits], answer.cursor];
      } finally {
        if (mine === question) isBusy = false;
        draw();
      }
    });

  const load = (from) =>
    api("GET", "/api/search", {
      query: { ...asked, ...requestOf(filter), cursor: from, limit: PAGE },
      signal: page.signal,
    });

  draw();
  if (hits) return page.place();
  document.querySelector("[name=q]").focus({ preventScroll: true });
  begin();
}

/** The address of the line of a hit. */
const place = ({ source_id: id, start, channel }) =>
  withQuery(`/recordings/${id}`, { t: start.toFixed(2), channel });

/** The text of a hit with what matches in `<mark>`. The server counts code points. */
function marked({ text, matches }) {
  const characters = [...text];
  const piece = (start, end) => characters.slice(start, end).join("");
  let at = 0;
  const parts = matches.map(([start, end]) => {
    const before = piece(at, start);
    at = end;
    return html`${before}<mark>${piece(start, end)}</mark>`;
  });
  return [...parts, piece(at)];
}
