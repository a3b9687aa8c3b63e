// Settings: what holds for the whole fleet, and where each value comes from.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { live } from "../vendor/lit-html/directives/live.js";
import { api } from "../api.js";
import { every, loader } from "../reloading.js";
import { plural } from "../format.js";
import { offerModels } from "../fleet_models.js";
import { notice } from "../notices.js";
import { DETECTED, languageChoices, TASKS } from "../option_fields.js";

const SOURCES = { environment: "set at the coordinator's start", database: "changed here" };

// The settings by what they are about, each with what a person calls it.
const GROUPS = [
  [
    "New recordings",
    "What holds for a recording where nothing else was chosen when it was uploaded.",
    {
      default_language: "Language",
      default_task: "Text",
      default_model: "Model",
      default_prompt: "Prompt",
      default_hotwords: "Hotwords",
      default_priority: "Priority",
      chunk_seconds: "Longest chunk",
      max_upload_mb: "Largest file",
    },
  ],
  [
    "Machines",
    "How machines join, and when their work goes to others.",
    {
      distributed: "Joined machines get work",
      join_code_minutes: "Join codes are valid for",
      heartbeat_seconds: "Heartbeat every",
      offline_seconds: "Offline after",
      chunk_timeout_seconds: "Longest time for a chunk",
    },
  ],
];
const TITLES = Object.assign({}, ...GROUPS.map(([, , titles]) => titles));
const MODEL = "default_model";
// Where a list is chosen from, the text that tells what to type does not fit.
const HELP = { default_language: "What is spoken in them." };
const EMPTY = { default_language: DETECTED, default_model: "each machine's own" };

const REFRESH_SECONDS = 15;

// What has been changed and not saved yet, by name: the text as it was typed, a switch's boolean, or
// null for going back to the default. It stays while other pages are shown.
const changes = new Map();
let isSaving = false;
addEventListener("beforeunload", (event) => {
  if (changes.size && !isSaving) event.preventDefault();
});

export function open(page) {
  let options = null;
  let version = "";
  let refused = "";

  const draw = () =>
    page.draw(html`
    <h1>Settings</h1>
    <p>They hold for everyone who uses this database.</p>
    ${
      options === null
        ? html`<p aria-busy="true">Loading</p>`
        : html`
      <form class="settings" @submit=${save}>
        ${groups()}
        ${refused && !refusedName() ? refusal("refused") : nothing}
        <footer class="actions">
          <span role="status">${
            changes.size ? `${plural(changes.size, "change")} not saved yet` : "All is saved"
          }</span>
          <button type="submit" ?disabled=${!changes.size}>Save</button>
          <button type="button" class="outline secondary" ?disabled=${!changes.size}
                  @click=${() => {
                    changes.clear();
                    refused = "";
                    draw();
                  }}>Undo</button>
        </footer>
      </form>`
    }
    <p><small>${version ? `stt ${version} · ` : ""}
      <a href="/docs" target="_blank">The API</a></small></p>`);

  const groups = () => {
    const others = options.filter(({ name }) => !(name in TITLES));
    return html`
      ${GROUPS.map(([heading, about, titles]) =>
        group(heading, about, Object.keys(titles).map(optionOf).filter(Boolean)),
      )}
      ${others.length ? group("Others", nothing, others) : nothing}`;
  };

  const optionOf = (name) => options.find((option) => option.name === name);

  const group = (heading, about, members) => html`
    <section>
      <h2>${heading}</h2>
      <p class="summary">${about}</p>
      ${members.map(row)}
    </section>`;

  /** The option that the error is about; its name stands before the colon. */
  const refusedName = () =>
    options.find(({ name }) => refused.startsWith(`${name}: `))?.name;

  const refusal = (id) => html`<p id=${id} class="refused" role="alert">${refusalWords()}</p>`;

  /** The error with the settings by the names that this page gives them. */
  const refusalWords = () => {
    const own = refusedName();
    const words = own ? refused.slice(own.length + 2) : refused;
    return words.replace(/[a-z]+(_[a-z]+)+/g, (word) => (optionOf(word) ? `“${title(word)}”` : word));
  };

  const row = (option) => {
    const { name, value, source, is_locked: isLocked, variable, unit, help } = option;
    const isChanged = changes.has(name);
    const shown = !isChanged ? value : (changes.get(name) ?? option.default);
    return html`
      <div class="setting">
        <div>
          <label for=${name}>${title(name)}</label>
          <small id="${name}-help">${HELP[name] ?? help}</small>
          ${name === MODEL ? html`<small class="model-note wrong" role="status"></small>` : nothing}
        </div>
        <div class="value">
          ${field(option, shown)}
          ${unit ? html`<span class="unit">${unit}</span>` : nothing}
        </div>
        <div class="source">
          ${
            isChanged
              ? html`<span class="badge" data-state="changed">not saved yet</span>`
              : source === "default"
                ? nothing
                : html`<span class="badge" data-state=${source}>${SOURCES[source] ?? source}</span>`
          }
          ${
            isLocked
              ? html`<small>To change it, change <code>${variable}</code> where the coordinator is
                  started.</small>`
              : source === "database" && !isChanged
                ? html`<button type="button" class="plain small"
                @click=${() => change(option, null)}>back to ${said(option)}</button>`
                : nothing
          }
        </div>
        ${refusedName() === name ? refusal(`${name}-refused`) : nothing}
      </div>`;
  };

  const field = (option, shown) => {
    const { name, kind, is_locked: isLocked } = option;
    if (kind === "bool") {
      return html`<input id=${name} type="checkbox" role="switch" ?disabled=${isLocked}
        .checked=${live(Boolean(shown))} aria-describedby="${name}-help"
        @change=${(event) => change(option, event.target.checked)}>`;
    }
    const choices = choicesOf(option, shown);
    if (choices.length) {
      return html`<select id=${name} ?disabled=${isLocked} aria-describedby="${name}-help"
        @change=${(event) => change(option, event.target.value)}>${choices.map(
          ([value, text]) =>
            html`<option value=${value} .selected=${live(value === (shown ?? ""))}>${text}</option>`,
        )}</select>`;
    }
    if (name === MODEL) offerModels();
    const isNumber = kind === "int" || kind === "float";
    return html`<input id=${name} type=${isNumber ? "number" : "text"}
      step=${kind === "int" ? "1" : "any"}
      ?disabled=${isLocked} ?required=${isNumber} .value=${live(String(shown ?? ""))}
      min=${option.minimum ?? nothing} max=${option.maximum ?? nothing}
      maxlength=${option.max_length ?? nothing} list=${name === MODEL ? "fleet-models" : nothing}
      placeholder=${isNumber ? "" : (EMPTY[name] ?? "none")} aria-describedby="${name}-help ${name}-refused"
      aria-invalid=${refusedName() === name ? "true" : nothing}
      @input=${(event) => change(option, event.target.value)}>`;
  };

  const change = (option, given) => {
    const isBack = given === null && option.source === "database";
    const isSame = typeof given === "boolean" ? given === option.value : given === written(option);
    if (!isBack && isSame) changes.delete(option.name);
    else changes.set(option.name, given);
    refused = "";
    draw();
  };

  /** What is to be sent for a field's text: null goes back to the default. */
  const meant = ([name, given]) => {
    const { kind } = options.find((option) => option.name === name);
    if (typeof given !== "string") return [name, given];
    if (kind === "int" || kind === "float") return [name, Number(given)];
    return [name, given.trim() || null];
  };

  const save = async (event) => {
    event.preventDefault();
    isSaving = true;
    let answer;
    try {
      answer = await api("PATCH", "/api/options", {
        body: Object.fromEntries([...changes].map(meant)),
      });
    } catch (error) {
      refused = error.message;
      return draw();
    } finally {
      isSaving = false;
    }
    const changed = new Map(answer.options.map((option) => [option.name, option]));
    options = options.map((option) => changed.get(option.name) ?? option);
    changes.clear();
    notice("Saved");
    draw();
  };

  const reload = loader(async () => {
    const { signal } = page;
    const [known, session] = await Promise.all([
      api("GET", "/api/options", { signal }),
      api("GET", "/api/session", { signal }),
    ]);
    ({ options } = known);
    ({ version } = session);
    draw();
  }, page.signal);
  every(REFRESH_SECONDS, reload, page.signal);
  reload();
  draw();
}

const written = ({ value }) => String(value ?? "");

/** The values that an option may have, each with its text; none where any may be typed. */
function choicesOf({ name, choices }, shown) {
  if (name === "default_language") return languageChoices(shown);
  return choices.map((value) => [value, TASKS[value] ?? value]);
}

const UNITS_IN_NAMES = /_(seconds|minutes|mb)$/;

/** What a person calls a setting; of one without such a name "join_code_minutes" → "Join code". */
function title(name) {
  if (name in TITLES) return TITLES[name];
  const words = name.replace(UNITS_IN_NAMES, "").replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}

/** An option's default in words. */
function said({ name, default: value, unit }) {
  if (typeof value === "boolean") return value ? "on" : "off";
  if (value === null) return EMPTY[name] ?? "none";
  return TASKS[value] ?? `${value}${unit ? ` ${unit}` : ""}`;
}
