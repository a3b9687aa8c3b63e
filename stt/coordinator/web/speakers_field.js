// The choice whether speakers are told apart, and how many there are; forms on several pages have it.

import { html } from "./vendor/lit-html/lit-html.js";
import { offerModels } from "./fleet_models.js";

const EXACTLY = "exactly";
const AT_MOST = "at most";
const CHOICES = [
  ["auto", "found by their voices"],
  [EXACTLY, "found, so many speak"],
  [AT_MOST, "found, at most so many speak"],
];
const isNumbered = (choice) => choice === EXACTLY || choice === AT_MOST;

/** What is chosen for a recording, `[choice, count]`. */
export function chosenFor({ speakers, max_speakers: most }) {
  if (speakers == null) return ["", ""];
  if (most != null) return [AT_MOST, most];
  return speakers ? [EXACTLY, speakers] : ["auto", ""];
}

/** `unset`: the choices that ask for none, each `[value, text]`. */
export function speakersField([chosen = "", count = ""], unset = [["", "not told apart"]]) {
  offerModels();
  return html`
    <label>Speakers
      <select name="speakers">${[...unset, ...CHOICES].map(
        ([value, text]) =>
          html`<option value=${value} ?selected=${value === chosen}>${text}</option>`,
      )}</select>
      <small>Who says what, told apart by their voices. A number helps where voices are alike.</small>
      <small class="speakers-note wrong" role="status"></small></label>
    <label ?hidden=${!isNumbered(chosen)}>How many speak
      <input name="speakers_count" type="number" min="1" max="50" step="1" required
             ?disabled=${!isNumbered(chosen)} value=${count}></label>`;
}

/** The options that the fields of a form give, by name; as they were where nothing was chosen. */
export function speakersOf({ speakers, speakers_count: count }) {
  if (speakers === EXACTLY) return { speakers: Number(count), max_speakers: null };
  if (speakers === AT_MOST) return { speakers: 0, max_speakers: Number(count) };
  return { speakers: speakers === "auto" ? 0 : null, max_speakers: null };
}

/** Ask for the number only where it is meant, and refuse speakers of channels by themselves. */
export function checkSpeakers({ elements: { speakers, speakers_count: number, channels } }) {
  if (!number) return;
  number.disabled = number.closest("label").hidden = !isNumbered(speakers.value);
  const areBoth = speakers.value && channels?.value === "split";
  speakers.setCustomValidity(areBoth ? "Channels by themselves are speakers already: choose one." : "");
}

// Before the listeners of the form, which may ask what is valid.
const onInput = ({ target }) => target.form && checkSpeakers(target.form);
document.addEventListener("input", onInput, { capture: true });
