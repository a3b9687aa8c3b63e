// Fields for the options of a recording, as forms on several pages have them.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { offerModels } from "./fleet_models.js";

export const DETECTED = "detected";

const DETECT = "auto";
const CODES = (
  "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he " +
  "hi hr ht hu hy id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne " +
  "nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk " +
  "ur uz vi yi yo yue zh"
).split(" ");
export const TASKS = { transcribe: "as spoken", translate: "in English" };
const NAMES = new Intl.DisplayNames("en", { type: "language" });
const NOT_IN_CHROMIUM = { ba: "Bashkir", bo: "Tibetan" };
const nameOf = (code) => NOT_IN_CHROMIUM[code] ?? NAMES.of(code);
export const LANGUAGES = CODES.map((code) => [code, nameOf(code)]).sort(([, a], [, b]) =>
  a.localeCompare(b),
);

/** The name of a language; what is no code stays as it is. */
export const languageName = (code) => {
  if (!code || code === DETECT) return DETECTED;
  return CODES.includes(code) ? nameOf(code) : code;
};

/** All languages to choose from for one that holds, each `[value, text]`. */
export const languageChoices = (language) => [
  ["", DETECTED],
  ...(language && !CODES.includes(language) ? [[language, languageName(language)]] : []),
  ...LANGUAGES,
];

const choice = (value, text, isChosen) =>
  html`<option value=${value} ?selected=${isChosen}>${text}</option>`;

/** `unset` is what holds where nothing is chosen: a language, or null to detect it. */
export const languageField = (language, unset = null) => html`
  <label>Language
    <select name="language">
      ${choice("", unset ? `as set: ${languageName(unset)}` : DETECTED, !language)}
      ${unset && unset !== DETECT ? choice(DETECT, DETECTED, false) : nothing}
      ${language && !CODES.includes(language) ? choice(language, language, true) : nothing}
      ${LANGUAGES.map(([code, text]) => choice(code, text, code === language))}
    </select></label>`;

/** `unset`: the task where nothing is chosen; without it, one of the two has to be. */
export const taskField = (task, unset = null) => html`
  <label>Text
    <select name="task">
      ${unset ? choice("", `as set: ${TASKS[unset]}`) : nothing}
      ${Object.entries(TASKS).map(([name, text]) => choice(name, text, name === task))}
    </select></label>`;

/** A field with the models of the fleet; what none of its machines has is said beneath it. */
export function modelField(model, unset = "as the machines have it") {
  offerModels();
  return html`
    <label>Model
      <input name="model" maxlength="200" autocapitalize="none" spellcheck="false" autocomplete="off"
             list="fleet-models"
             value=${model ?? ""} placeholder=${unset}>
      <small class="model-note wrong" role="status"></small></label>`;
}

export const promptField = (prompt, unset = "Text that could precede the recording") => html`
  <label class="wide">Prompt
    <input name="prompt" maxlength="10000" value=${prompt ?? ""} placeholder=${unset}></label>`;

export const hotwordsField = (hotwords, unset = "Rare names and terms to listen for") => html`
  <label class="wide">Hotwords
    <input name="hotwords" maxlength="10000" value=${hotwords ?? ""} placeholder=${unset}></label>`;
