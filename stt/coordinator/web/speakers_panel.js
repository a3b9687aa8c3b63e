// Who speaks in a recording: each is named where the name is shown, heard, and merged.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { live } from "./vendor/lit-html/directives/live.js";
import { repeat } from "./vendor/lit-html/directives/repeat.js";
import { api } from "./api.js";
import { ask } from "./dialogs.js";
import { length, plural } from "./format.js";
import { foreign } from "./markup.js";
import { notice, report } from "./notices.js";
import { every } from "./reloading.js";
import { colourOfSpeaker } from "./transcript_view.js";
import { visible } from "./visible.js";

const MAX_CHARACTERS = 100;
const REFRESH_SECONDS = 5;

/**
 * Return the panel of the recording at `path`. `kept`: what `all` was when the page was left.
 *
 * `isAsked()`: whether speakers are looked for. `draw()` draws the page; `reload()` loads it again
 * after a change. `canPlay()` says whether there is audio; `play(sample, onEnd)` plays a stretch of
 * it, and `stop()` ends that.
 */
export function speakersPanel({ page, path, kept, isAsked, draw, reload, canPlay, play, stop }) {
  const { signal } = page;
  const edits = new Map(); // By id, while a name is typed: `{text, before, message, isBusy}`.
  let { version = null, speakers = [], chunks_without: without = 0 } = kept ?? {};
  let playing = null; // The id of the one whose sample is played.
  let samples = 0; // How many were asked for: the last one is played.
  let changes = 0; // Of this page: what was asked for before one is outdated.
  let isLoading = false;

  const take = (answer) => {
    ({ version, speakers, chunks_without: without } = answer);
    for (const [id, { before }] of edits) {
      if (find(id)) continue;
      edits.delete(id);
      notice(`${before} is no longer among the speakers`);
    }
  };
  const find = (id) => speakers.find((one) => one.id === id);
  const nameIn = ({ speakers: all }, id) => all.find((one) => one.id === id)?.label;
  const addressOf = (id) => `${path}/speakers/${encodeURIComponent(id)}`;
  /** Return whether there was something new. */
  const load = async (query = {}) => {
    const before = changes;
    const answer = await api("GET", `${path}/speakers`, { query, signal });
    if (answer === null || before !== changes) return false;
    take(answer);
    return true;
  };

  const template = () => html`${list()}${
    without
      ? html`<p class="wrong">No speakers are known in ${plural(without, "chunk")} of the text:
          “Transcribe again” looks for them, and makes all of the text anew.</p>`
      : nothing
  }`;

  const list = () =>
    speakers.length
      ? html`
    <section class="speakers" aria-label="Speakers">
      <h2>Speakers</h2>
      <ul>${repeat(speakers, ({ id }) => id, item)}</ul>
      ${
        speakers.length > 1
          ? html`<button class="small outline secondary" @click=${merge}>Merge…</button>`
          : nothing
      }
    </section>`
      : nothing;

  const item = (one) => html`<li data-speaker=${one.id}>
    <button class="small plain" ?disabled=${!canPlay()} @click=${() => sample(one)}
      aria-label=${playing === one.id ? "Stop" : visible(`Play a sample of ${one.label}`)}>${
        playing === one.id ? "❚❚" : "►"
      }</button>
    ${edits.has(one.id) ? nameForm(one, edits.get(one.id)) : nameAndTime(one)}
  </li>`;

  const nameAndTime = (one) => html`<button class="plain speaker" title="Rename"
      data-colour=${colourOfSpeaker(one)} aria-label=${visible(`Rename ${one.label}`)}
      @click=${() => begin(one)}>${foreign(one.label)}</button>
    <small>${length(one.seconds)}</small>`;

  const nameForm = (one, edit) => html`<form @submit=${(event) => save(event, one, edit)}
      @keydown=${(event) => event.key === "Escape" && !event.isComposing && end(one)}>
    <input aria-label=${visible(`Name of ${one.label}`)} placeholder=${one.id} dir="auto"
      maxlength=${MAX_CHARACTERS} autocomplete="off" enterkeyhint="done" ?readonly=${edit.isBusy}
      aria-invalid=${edit.message ? "true" : nothing}
      aria-describedby=${edit.message ? `wrong-${one.id}` : nothing}
      .value=${live(edit.text)} @input=${({ target }) => {
        edit.text = target.value;
      }}>
    <button class="small" aria-busy=${edit.isBusy ? "true" : nothing}>Save</button>
    <button type="button" class="small outline secondary" @click=${() => end(one)}>Cancel</button>
    ${
      edit.message
        ? html`<p class="refused" role="alert" id=${`wrong-${one.id}`}>${visible(edit.message)}</p>`
        : nothing
    }
  </form>`;

  const part = (one, selector) => document.querySelector(`[data-speaker="${one.id}"] ${selector}`);

  const begin = (one) => {
    edits.set(one.id, { text: one.name ?? "", before: one.label, message: "", isBusy: false });
    draw();
    part(one, "input").select();
  };
  const end = (one) => {
    edits.delete(one.id);
    drawAndFocus(one, ".speaker");
  };

  /** Draw; then focus `selector` of the speaker, unless the focus is outside the form. */
  const drawAndFocus = (one, selector) => {
    const active = document.activeElement;
    const isHere = active === document.body || part(one, "form")?.contains(active);
    draw();
    if (isHere && !signal.aborted) part(one, selector)?.focus();
  };

  const save = async (event, one, edit) => {
    event.preventDefault();
    if (edit.isBusy) return;
    Object.assign(edit, { isBusy: true, message: "" });
    draw();
    const body = { name: edit.text, label_before: edit.before };
    let answer = null;
    try {
      answer = await api("PATCH", addressOf(one.id), { body });
    } catch (error) {
      await page.attempt(() => explain(error, one, edit));
    }
    edit.isBusy = false;
    const current = edits.get(one.id);
    if (!answer) return current === edit && drawAndFocus(one, "input");
    if (current === edit) end(one);
    // Begun while this one was saved: the name that it replaces is known to who types.
    else if (current) current.before = nameIn(answer, one.id) ?? current.before;
    await changed(answer, "Saved");
  };

  /** Say why a name was not saved, beside it if it still stands there; what was typed stays. */
  const explain = async (error, one, edit) => {
    if (signal.aborted || edits.get(one.id) !== edit) return report(error);
    edit.message = error.message;
    if (error.status === 404 || error.code === "edit_conflict") await load();
    if (error.code === "edit_conflict" && find(one.id)) {
      edit.before = find(one.id).label;
      edit.message =
        `Someone else has named this speaker “${edit.before}” in the meantime. Save again to put` +
        " yours in its place, or cancel to keep theirs.";
    }
  };

  const changed = async (answer, words) => {
    changes += 1;
    take(answer);
    draw();
    notice(words);
    await reload();
  };

  const merge = async () => {
    const weight = ({ name, seconds }) => (name ? 1e9 : 0) + seconds;
    const sorted = [...speakers].sort((a, b) => weight(a) - weight(b));
    let seen = speakers;
    let done = null;
    const options = (chosen) =>
      speakers.map(
        (one) => html`<option value=${one.id} ?selected=${one.id === chosen}>${visible(
          one.label,
        )} (${length(one.seconds)})</option>`,
      );
    const isDone = await ask(
      "Merge two speakers",
      html`
        <label>Speaker <select name="who">${options(sorted[0].id)}</select></label>
        <label>is the same as <select name="into">${options(sorted.at(-1).id)}</select></label>
        <p>All that the first one says counts as said by the second one from now on, also where the
          recording is transcribed again. This cannot be undone.</p>`,
      "Merge",
      {
        isDangerous: true,
        save: async (form) => {
          const [who, into] = [form.get("who"), form.get("into")];
          if (who === into) throw new Error("Choose two different speakers.");
          const labelOf = (id) => seen.find((one) => one.id === id)?.label;
          const body = { into, label_before: labelOf(who), into_label_before: labelOf(into) };
          try {
            done = await api("POST", `${addressOf(who)}/merge`, { body });
          } catch (error) {
            if (error.status !== 404 && error.code !== "edit_conflict") throw error;
            await load();
            seen = speakers;
            draw();
            const advice = error.status === 404 ? "" : " Merge again if they are one all the same.";
            throw new Error(`${error.message}${advice}`);
          }
        },
      },
    );
    if (isDone) await changed(done, "The two speakers are one now");
  };

  const sample = (one) =>
    page.attempt(async () => {
      const asked = ++samples;
      if (playing === one.id) return stop();
      const stretch = await api("GET", `${addressOf(one.id)}/sample`, { signal });
      if (asked !== samples) return;
      playing = one.id;
      play(stretch, () => {
        if (playing === one.id) playing = null; // Else another one is played in its place.
        draw();
      });
      draw();
    });

  /** Load the names that others give: no change of the queue says so. */
  const refresh = async () => {
    if (isLoading || !isAsked()) return;
    isLoading = true;
    try {
      if (await load({ seen: version })) reload();
    } catch (error) {
      if (error.status === 404) reload(); // Else the page's next load says what is wrong.
    }
    isLoading = false;
  };
  every(REFRESH_SECONDS, refresh, signal);

  return {
    template,
    load: async () => {
      if (isAsked()) await load();
      else take({ version: null, speakers: [], chunks_without: 0 });
    },
    /** What the page keeps; `version` grows with each change. */
    get all() {
      return { version, speakers, chunks_without: without };
    },
  };
}
