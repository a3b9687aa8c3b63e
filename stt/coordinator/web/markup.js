// Small pieces of markup that several pages have.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { ago, date } from "./format.js";
import { visible } from "./visible.js";

/** A name out of the database: text, whatever is in it, and cut by the layout where it is long. */
export const name = (text) =>
  html`<bdi class="name" title=${visible(text)}>${visible(text)}</bdi>`;

/** A text of another machine within a line of ours: it turns the direction of nothing else. */
export const foreign = (text) => html`<bdi>${visible(text)}</bdi>`;

/** A state, as a word with a colour. */
export const badge = (state) => html`<span class="badge" data-state=${state}>${state}</span>`;

/** Who says a line, or on which channel it was said, where either is known. */
export const speakerMark = ({ speaker, channel }) => {
  const who = speaker || (channel == null ? null : `Channel ${channel}`);
  return who ? html`<small>${foreign(who)}: </small>` : nothing;
};

/** How long ago something was; the date itself stands in its title. */
export const since = (iso) =>
  html`<time datetime=${iso ?? ""} title=${date(iso)}>${ago(iso)}</time>`;

/** The end of a list that has more. */
export const moreButton = (work, isBusy = false) => html`
  <p class="more-button">
    <button class="outline" aria-busy=${isBusy} @click=${work}>Show more</button>
  </p>`;
