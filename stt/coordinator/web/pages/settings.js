// Settings: what holds for the whole fleet, and where each value comes from.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { live } from "../vendor/lit-html/directives/live.js";
import { api } from "../api.js";
import { every, loader } from "../reloading.js";
import { notice } from "../notices.js";

const SOURCES = {
  environment: "from the environment",
  database: "set here",
  default: "default",
};

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
    <p>They hold for all coordinators and nodes of this database. A value that the environment gives
      is locked here.</p>
    ${
      options === null
        ? html`<p aria-busy="true">Loading</p>`
        : html`
      <form class="settings" @submit=${save}>
        ${options.map(row)}
        ${refused && !refusedName() ? refusal("refused") : nothing}
        <footer class="actions">
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

  /** The option that the error is about; its name stands before the colon. */
  const refusedName = () =>
    options.find(({ name }) => refused.startsWith(`${name}: `))?.name;

  const refusal = (id) => html`<p id=${id} class="refused" role="alert">${refused}</p>`;

  const row = (option) => {
    const { name, value, source, is_locked: isLocked, variable, unit, help } = option;
    const isChanged = changes.has(name);
    const shown = !isChanged ? value : (changes.get(name) ?? option.default);
    return html`
      <div class="setting">
        <div>
          <label for=${name}>${title(name)}</label>
          <small id="${name}-help">${help}</small>
        </div>
        <div class="value">
          ${field(option, shown)}
          ${unit ? html`<span class="unit">${unit}</span>` : nothing}
        </div>
        <div class="source">
          <span class="badge" data-state=${isChanged ? "changed" : source}>${
            isChanged ? "not saved yet" : (SOURCES[source] ?? source)
          }</span>
          ${
            isLocked
              ? html`<small>locked by <code>${variable}</code></small>`
              : source === "database" && !isChanged
                ? html`<button type="button" class="plain small"
                @click=${() => change(option, null)}>back to ${said(option.default, unit)}</button>`
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
    if (option.choices.length) {
      return html`<select id=${name} ?disabled=${isLocked} aria-describedby="${name}-help"
        @change=${(event) => change(option, event.target.value)}>${option.choices.map(
          (value) => html`<option .selected=${live(value === shown)}>${value}</option>`,
        )}</select>`;
    }
    const isNumber = kind === "int" || kind === "float";
    return html`<input id=${name} type=${isNumber ? "number" : "text"}
      step=${kind === "int" ? "1" : "any"}
      ?disabled=${isLocked} ?required=${isNumber} .value=${live(String(shown ?? ""))}
      min=${option.minimum ?? nothing} max=${option.maximum ?? nothing}
      maxlength=${option.max_length ?? nothing}
      placeholder=${isNumber ? "" : "none"} aria-describedby="${name}-help ${name}-refused"
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

const UNITS_IN_NAMES = /_(seconds|minutes|mb)$/;

/** "join_code_minutes" → "Join code". */
function title(name) {
  const words = name.replace(UNITS_IN_NAMES, "").replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}

const said = (value, unit) =>
  value === true
    ? "on"
    : value === false
      ? "off"
      : value === null
        ? "none"
        : `${value}${unit ? ` ${unit}` : ""}`;
