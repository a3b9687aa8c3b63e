// Find words in a transcript, from match to match, without leaving its page.

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { number } from "./format.js";

const MAX_MARKED = 2_000;
const MATCHES = "match";
const CURRENT = "current-match";

/**
 * Return what draws a field within `element()`, and marks what is found in the lines.
 *
 * `load()` resolves once all rows are there, `rows()` returns them, `items()` their elements in the
 * same order. `reveal(item)` brings one into sight.
 */
export function finder({ element, load, rows, items, reveal }) {
  let words = "";
  let matches = [];
  let current = 0;
  let isLoading = false;
  let isAsked = false; // Whether a person has asked for what is drawn: it is read aloud then.

  const draw = () => render(field(), element());

  const field = () => html`
    <input id="find-words" type="search" placeholder="Find" aria-label="Find in this recording"
      autocomplete="off" maxlength="200" .value=${words} @input=${change} @keydown=${onKey}>
    ${
      words.trim()
        ? html`<output aria-live=${isAsked ? "polite" : "off"} aria-busy=${isLoading}>${count()}</output>
            <button class="small plain" aria-label="Previous match" ?disabled=${!matches.length}
              @click=${() => step(-1)}>‹</button>
            <button class="small plain" aria-label="Next match" ?disabled=${!matches.length}
              @click=${() => step(1)}>›</button>`
        : nothing
    }`;

  const count = () =>
    isLoading
      ? "Loading"
      : matches.length
        ? `${number(current + 1)} of ${number(matches.length)}`
        : "Not found";

  const change = async ({ target }) => {
    words = target.value;
    current = 0;
    if (words.trim()) {
      isLoading = true;
      draw();
      await load();
      isLoading = false;
    }
    isAsked = true;
    findAll();
    step(0);
  };

  const step = (by) => {
    isAsked = true;
    current = (current + by + matches.length) % (matches.length || 1);
    draw();
    paint();
    const match = matches[current];
    if (match) reveal(items()[match.first]);
  };

  const onKey = (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter" && matches.length) step(event.shiftKey ? -1 : 1);
    else if (event.key === "Escape" && words) {
      event.preventDefault();
      change({ target: { value: "" } });
    }
  };

  /** Find again, in what the rows are now. */
  const mark = () => {
    isAsked = false;
    findAll();
  };

  const findAll = () => {
    matches = words.trim() ? matchesOf(rows(), words) : [];
    current = Math.min(current, Math.max(matches.length - 1, 0));
    draw();
    paint();
  };

  const paint = () => {
    if (!globalThis.CSS?.highlights) return; // An older browser goes to the line, and marks nothing.
    const lines = items();
    const from = Math.max(current - MAX_MARKED / 2, 0);
    const near = matches.slice(from, from + MAX_MARKED);
    highlight(MATCHES, near.map((match) => rangeOf(match, lines)));
    highlight(CURRENT, matches.length ? [rangeOf(matches[current], lines)] : []);
  };

  return { draw, mark, focus: () => element().querySelector("input").select() };
}

/** Remove all marks. */
export function unmark() {
  CSS.highlights?.delete(MATCHES);
  CSS.highlights?.delete(CURRENT);
}

function highlight(name, ranges) {
  CSS.highlights.set(name, new Highlight(...ranges.filter(Boolean)));
}

/**
 * Return `{first, from, last, to}` of each match: from a character of row `first` to one of `last`.
 *
 * Case and accents make no difference; a phrase is found across lines too.
 */
function matchesOf(rows, words) {
  const starts = [];
  let text = "";
  for (const row of rows) {
    starts.push(text.length);
    text += row.text === undefined ? "\n" : `${fold(row.text)} `;
  }
  const wanted = fold(words.trim().replace(/\s+/g, " "));
  const matches = [];
  let row = 0;
  const rowAt = (place) => {
    while (starts[row + 1] <= place) row += 1;
    return row;
  };
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) {
    const first = rowAt(at);
    const last = rowAt(at + wanted.length - 1);
    const end = at + wanted.length - starts[last];
    matches.push({ first, from: at - starts[first], last, to: end });
  }
  return matches;
}

/** Return a text of the same length without case and accents. */
const fold = (text) => text.replace(/[\u0080-\uffff]/g, plain).toLowerCase();

function plain(character) {
  if (character === "’") return "'";
  const [base, ...marks] = character.normalize("NFD");
  return marks.length && marks.every((one) => /\p{M}/u.test(one)) ? base : character;
}

/** Return where a match is in the page, or null where the text is not drawn as it is in the row. */
function rangeOf({ first, from, last, to }, lines) {
  const start = textOf(lines[first]);
  const end = textOf(lines[last]);
  if (!start || !end || from > start.length || to > end.length) return null;
  return new StaticRange({
    startContainer: start, startOffset: from, endContainer: end, endOffset: to,
  });
}

const textOf = (line) =>
  [...(line?.querySelector(".text")?.childNodes ?? [])].find(
    (node) => node.nodeType === Node.TEXT_NODE && node.length,
  );
