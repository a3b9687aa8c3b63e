// The lines of a transcript: as text that flows in paragraphs, or each on its own.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { repeat } from "./vendor/lit-html/directives/repeat.js";
import { clock } from "./format.js";
import { foreign } from "./markup.js";
import { visible } from "./visible.js";

const NAME = "stt-transcript-view";
const PAUSE_SECONDS = 2;
const CHARACTERS = 600; // A paragraph ends with the first sentence after so many.
const MAX_CHARACTERS = 1_000;
const SENTENCE_END = /[.!?…。！？]["'”’»)]*\s*$/u;
const WITHOUT_SPACES = new Set(["ja", "km", "lo", "my", "th", "yue", "zh"]);
const COLOURS = 6;
const GAPS = {
  pending: "not transcribed yet",
  processing: "being transcribed",
  cutting: "being prepared",
  failed: "could not be transcribed",
  missing: "the audio is missing",
  unreadable: "the transcript cannot be read",
};

/** "paragraphs" or "lines", as it was chosen last. */
export function rememberedView() {
  try {
    return localStorage.getItem(NAME) === "lines" ? "lines" : "paragraphs";
  } catch {
    return "paragraphs"; // A browser that forbids storage.
  }
}

export function rememberView(view) {
  try {
    localStorage.setItem(NAME, view);
  } catch {
    // It holds until the page is left.
  }
}

/** The number of a speaker's colour, which stays when others are named or merged. */
export const colourOfSpeaker = ({ id }) => colourOf(Number(/\d+$/.exec(id)));
const colourOf = (number) => ((number - 1 + COLOURS) % COLOURS) + 1;

/**
 * Draw the items of a list: each line is a `.line` with its row as `row`, each row a `.row`.
 *
 * `language`: that of the text, if it is known; `speakers`: those of the recording.
 */
export function transcriptItems(rows, view, language, speakers) {
  const colours = new Map(speakers.map((one) => [one.label, colourOfSpeaker(one)]));
  const colour = ({ speaker, channel }) =>
    channel == null || speaker ? (colours.get(speaker) ?? nothing) : colourOf(channel);
  const who = whoIn(speakers);
  const space = WITHOUT_SPACES.has(language) ? "" : " ";
  const mark = (row, before) =>
    who(row) !== null && (view === "lines" || !before || who(row) !== who(before))
      ? html`<small class="speaker" data-colour=${colour(row)}>${foreign(who(row))}: </small>`
      : nothing;
  const paragraph = ({ lines, before }) => {
    const [first] = lines;
    if (first.text === undefined) return gap(first);
    return html`<li><time>${clock(first.start)}</time><p dir="auto">${repeat(lines, key, (row, i) => [
      i ? space : nothing,
      line(row, mark(row, i ? lines[i - 1] : before)),
    ])}</p></li>`;
  };
  return repeat(paragraphsOf(rows, view, who), ({ lines }) => key(lines[0]), paragraph);
}

const key = ({ start, end, chunk_id: id }) => `${start} ${end} ${id}`;

/**
 * Return what says of a row who speaks: a name or an id, or the channel; null where none is known.
 * Where speakers of the recording are, "?" stands for one who is not known.
 */
const whoIn = (speakers) => {
  const unknown = speakers.length ? "?" : null;
  return ({ text, speaker, channel }) =>
    text === undefined ? null : speaker || (channel == null ? unknown : `Channel ${channel}`);
};

/** Return `{lines, before}` in order; `before`: the line before the paragraph's first, if any. */
function paragraphsOf(rows, view, who) {
  const paragraphs = [];
  let lines = null;
  let length = 0;
  for (const [i, row] of rows.entries()) {
    const before = rows[i - 1];
    if (!lines || view === "lines" || isBreak(before, row, length, who)) {
      lines = [];
      length = 0;
      paragraphs.push({ lines, before });
    }
    lines.push(row);
    length += row.text?.length ?? 0;
  }
  return paragraphs;
}

const isBreak = (before, row, length, who) =>
  before.text === undefined ||
  row.text === undefined ||
  who(before) !== who(row) ||
  row.start - before.end >= PAUSE_SECONDS ||
  length >= MAX_CHARACTERS ||
  (length >= CHARACTERS && SENTENCE_END.test(before.text));

const gap = (row) => html`<li class="gap row"><small>${clock(row.start)} to ${clock(row.end)}:
  ${GAPS[row.state] ?? row.state}</small></li>`;

const line = (row, mark) => html`<span class="line row" role="button" tabindex="-1"
  .row=${row}>${mark}<span class="text">${row.text || html`<small class="removed">no text</small>`}</span>${
    row.model_text == null
      ? nothing
      : html`<small class="edited" title=${`The model wrote: ${visible(row.model_text)}`}> edited</small>`
  }</span>`;
