// The filter and the order of the list of recordings: in the page's address, in requests, as a form.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { live } from "./vendor/lit-html/directives/live.js";
import { api, withQuery } from "./api.js";
import { languageName } from "./option_fields.js";
import { visible } from "./visible.js";

const STATES = [
  ["", "All states"],
  ["open", "Not done yet"],
  ["done", "Done"],
  ["failed", "Failed or partly failed"],
];
const SORTS = [
  ["", "Newest first"],
  ["old", "Oldest first"],
  ["-recorded", "Recorded last"],
  ["recorded", "Recorded first"],
  ["name", "Name, A to Z"],
  ["-name", "Name, Z to A"],
  ["folder", "Folder, A to Z"],
  ["-folder", "Folder, Z to A"],
  ["-length", "Longest first"],
  ["length", "Shortest first"],
  ["language", "Language"],
  ["model", "Model"],
  ["-state", "Failures first"],
  ["state", "Done first"],
];
const IN_PANEL = [
  "folder", "language", "model", "recorded_from", "recorded_to", "added_from", "added_to",
  "min", "max",
];
const isOneOf = (choices) => (value) => choices.some(([known]) => known === value);
const isDay = (text) => /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text));
const isMinutes = (text) => /^\d{1,6}(\.\d+)?$/.test(text);
const isText = (text) => text.length <= 500;
const CHECKS = {
  search: isText, state: isOneOf(STATES), folder: isText, language: isText, model: isText,
  recorded_from: isDay, recorded_to: isDay, added_from: isDay, added_to: isDay,
  min: isMinutes, max: isMinutes, sort: isOneOf(SORTS),
};

/** The filter of an address; a value that cannot be counts as none. */
export const readFilter = (query) =>
  Object.fromEntries(
    Object.entries(CHECKS).map(([name, check]) => {
      const value = query.get(name) ?? "";
      return [name, check(value) ? value : ""];
    }),
  );

export const addressOf = (filter) =>
  withQuery("/recordings", { ...filter, search: filter.search.trim() });

export const isEmpty = ({ sort: _, ...filter }) =>
  Object.values(filter).every((value) => !value.trim());

/** The same without what is filtered by; the order stays. */
export const withoutFilter = (filter) => ({ ...readFilter(new URLSearchParams()), sort: filter.sort });

/** The parameters of a request; days are those of this machine's time zone. */
export const requestOf = (filter) => ({
  search: filter.search.trim(),
  state: filter.state,
  folder: filter.folder,
  language: filter.language,
  model: filter.model,
  recorded_from: instant(filter.recorded_from),
  recorded_to: instant(filter.recorded_to, 1),
  added_from: instant(filter.added_from),
  added_to: instant(filter.added_to, 1),
  min_seconds: filter.min && Number(filter.min) * 60,
  max_seconds: filter.max && Number(filter.max) * 60,
});

/** When a day begins, or the one that follows it by `days`. */
function instant(day, days = 0) {
  if (!day) return "";
  const [year, month, date] = day.split("-").map(Number);
  return new Date(year, month - 1, date + days).toISOString();
}

/** Whether a panel is open, and what it offers; `draw` is called once that is loaded. */
export function panelOf(page, draw, { choices = null, isOpen = false } = {}) {
  const panel = {
    choices,
    isOpen,
    toggle: (isNowOpen) => {
      panel.isOpen = isNowOpen;
      if (!isNowOpen || panel.choices) return;
      page.attempt(async () => {
        panel.choices = await api("GET", "/api/recordings/choices", { signal: page.signal });
        draw();
      });
    },
  };
  return panel;
}

/** The whole form of the list: name, state and order, and the panel. */
export const filterForm = (filter, panel, change) => {
  const set = (name) => (event) => change({ [name]: event.target.value });
  return html`
    <search><form class="recording-filters" @submit=${(event) => event.preventDefault()}>
      <div class="filter-line">
        <input type="search" name="search" placeholder="Search by name" aria-label="Search by name"
               maxlength="200" .value=${live(filter.search)}
               @input=${(event) => change({ search: event.target.value }, true)}>
        ${choice("state", "State", STATES, filter, set)}
        ${choice("sort", "Order", SORTS, filter, set)}
      </div>
      ${filterPanel(filter, panel, change)}
    </form></search>`;
};

/** What recordings are filtered by beside their names, and a button to clear all of it. */
export function filterPanel(filter, { choices, isOpen, toggle }, change) {
  const inPanel = IN_PANEL.filter((name) => filter[name]).length;
  const set = (name) => (event) => change({ [name]: event.target.value });
  return html`
    <details class="more" ?open=${isOpen} @toggle=${(event) => toggle(event.target.open)}>
      <summary>More filters${inPanel ? ` (${inPanel})` : ""}</summary>
      <div class="filter-panel" aria-busy=${isOpen && !choices}>
        ${select("folder", "Folder", "All folders", choices?.folders, filter, set)}
        ${select("language", "Language", "All languages", choices?.languages, filter, set, languageName)}
        ${select("model", "Model", "All models", choices?.models, filter, set)}
        ${range("Minutes", ["min", "max"], "number", ["at least", "at most"], filter, change)}
        ${range("Recorded", ["recorded_from", "recorded_to"], "date", ["from", "to"], filter, change, months(change))}
        ${range("Added", ["added_from", "added_to"], "date", ["from", "to"], filter, change)}
      </div>
    </details>
    ${
      isEmpty(filter)
        ? nothing
        : html`<button type="button" class="plain" @click=${() => change(withoutFilter(filter))}>
            Clear all filters</button>`
    }`;
}

const select = (name, label, all, values, filter, set, text = visible) => html`
  <label>${label}
    <select name=${name} @change=${set(name)}>
      <option value="" ?selected=${!filter[name]}>${all}</option>
      ${known(values, filter[name]).map(
        ({ value, recordings }) => html`
        <option value=${value} ?selected=${value === filter[name]}>${text(value)}${
          recordings == null ? nothing : ` (${recordings})`
        }</option>`,
      )}
    </select></label>`;

const MONTHS = [
  ["This month", 0],
  ["Last month", -1],
];

const months = (change) => html`
  <div class="months">${MONTHS.map(
    ([text, months]) => html`
    <button type="button" class="plain" @click=${() => change(monthFrom(months))}>${text}</button>`,
  )}</div>`;

/** The filter for what was recorded in this month, or in the one that follows it by `months`. */
function monthFrom(months) {
  const now = new Date();
  const at = (month, day) => new Date(now.getFullYear(), now.getMonth() + month, day);
  return { recorded_from: dayOf(at(months, 1)), recorded_to: dayOf(at(months + 1, 0)) };
}

const dayOf = (date) =>
  [date.getFullYear(), date.getMonth() + 1, date.getDate()]
    .map((part) => String(part).padStart(2, "0"))
    .join("-");

const range = (legend, names, type, texts, filter, change, choices = nothing) => html`
  <fieldset><legend>${legend} ${texts.join(" – ")}</legend>
    ${names.map(
      (name, i) => html`
      <input name=${name} type=${type} aria-label=${`${legend} ${texts[i]}`}
             min=${type === "number" ? "0" : nothing} max=${type === "number" ? "999999" : nothing}
             step=${type === "number" ? "any" : nothing} placeholder=${texts[i]}
             .value=${live(filter[name])} @change=${(event) =>
               event.target.validity.valid && change({ [name]: event.target.value })}>`,
    )}
    ${choices}
  </fieldset>`;

const choice = (name, label, values, filter, set) => html`
  <select name=${name} aria-label=${label} @change=${set(name)}>
    ${values.map(
      ([value, text]) =>
        html`<option value=${value} ?selected=${value === filter[name]}>${text}</option>`,
    )}
  </select>`;

/** The choices, with the one that is chosen. */
const known = (choices, chosen) => {
  const all = choices ?? [];
  const isMissing = chosen && !all.some(({ value }) => value === chosen);
  return isMissing ? [...all, { value: chosen, recordings: null }] : all;
};
