// What is known of a recording beside its text, as its page shows it.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { clock, date, length, number, plural } from "./format.js";
import { foreign, name } from "./markup.js";
import { DETECTED, languageName } from "./option_fields.js";

/** Its length, date, language and options. */
export const facts = (recording) => html`<dl class="facts">
  ${[
    ["Length", recording.duration == null ? "–" : length(recording.duration)],
    ["Recorded", date(recording.start)],
    ["Language", spokenLanguage(recording)],
    recording.task === "translate" ? ["Text", "in English"] : null,
    recording.model ? ["Model", recording.model] : null,
    recording.prompt ? ["Prompt", recording.prompt] : null,
    recording.hotwords ? ["Hotwords", recording.hotwords] : null,
    recording.channels === "split" ? ["Channels", "each by itself"] : null,
    recording.speakers == null ? null : ["Speakers", askedSpeakers(recording)],
    ["Priority", number(recording.priority)],
    ...recording.warnings.map((text) => ["Warning", text]),
  ]
    .filter(Boolean)
    .map(([term, text]) => html`<div><dt>${term}</dt><dd>${foreign(text)}</dd></div>`)}
</dl>`;

/** The language that is set, or "detected" with those of the text. */
const spokenLanguage = (recording) => {
  const set = languageName(recording.language);
  const found = set === DETECTED ? recording.text_languages.map(languageName) : [];
  return found.length ? `${found.join(", ")} (${DETECTED})` : set;
};

const askedSpeakers = ({ speakers, max_speakers: most }) =>
  most ? `found, at most ${most} speak` : speakers ? `found, ${speakers} speak` : "found";

/** How much speech gave no text. */
export const silentSpeech = (recording) =>
  Math.round(recording.silent_speech_seconds)
    ? html`<p><small>${length(recording.silent_speech_seconds)} of speech gave no
        text.</small></p>`
    : nothing;

/** That it waits for a model, or for speakers, that no machine has; `missing`: all such models. */
export const missingModel = (recording, missing) =>
  !recording.counts.pending
    ? nothing
    : missing.includes(recording.model)
      ? html`<p class="wrong">No machine has the model ${foreign(recording.model)}: it waits for one
          that has. “Transcribe again” takes another model.</p>`
      : recording.speakers != null && missing.includes("speakers")
        ? html`<p class="wrong">No machine finds speakers: it waits for one that does. “Edit name,
            priority and options” takes back the wish.</p>`
        : nothing;

/** Why its chunks failed; `failed`: the first of them in the quarantine. */
export const failures = (recording, failed, retry) =>
  failed.length
    ? html`
    <section class="failures" aria-label="Why it failed">
      <ul class="plain-list">${failed.map(
        (chunk) => html`<li>${
          chunk.offset == null ? "" : `From ${clock(chunk.offset)}: `
        }<span class="wrong">${chunk.reason}</span> ${foreign(chunk.errors.at(-1)?.message ?? "")}</li>`,
      )}</ul>
      <p class="actions"><button class="small" @click=${retry}>
          Retry ${plural(recording.counts.failed, "failed chunk")}</button>
        <a href="/quarantine?recording=${recording.id}">All in the quarantine</a></p>
    </section>`
    : recording.counts.failed
      ? html`<p><small><a href="/quarantine?recording=${recording.id}&dismissed=1">${plural(
          recording.counts.failed,
          "failed chunk",
        )}</a> dismissed</small></p>`
      : nothing;

/** Who transcribed it. */
export const madeBy = (contributors) =>
  contributors.length
    ? html`
  <details class="more made-by">
    <summary>Made by</summary>
    <ul>${contributors.map(
      (contributor) => html`
      <li>${name(contributor.node_name ?? contributor.worker ?? "an unknown worker")}${
        contributor.model ? html` with ${foreign(contributor.model)}` : nothing
      }${
        contributor.server ? html` at ${foreign(contributor.server)}` : nothing
      }: ${plural(contributor.chunks, "chunk")}</li>`,
    )}
    </ul>
  </details>`
    : nothing;
