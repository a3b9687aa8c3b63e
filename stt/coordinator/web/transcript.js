// A recording's transcript, loaded page by page: lines, and the gaps where none are yet.

import { api } from "./api.js";

const PAGE = 500;
const LARGE_PAGE = 5_000;

export class Transcript {
  #path;
  #signal;
  #cursor = null;
  #limits = [];
  #loading = null;
  /** Lines and gaps in order; a gap has a `state` and no `text`. */
  rows = [];
  madeBy = [];
  isPartial = false;
  isLoaded = false;

  constructor(recordingId) {
    this.#path = `/api/recordings/${recordingId}/transcript`;
  }

  /** Requests end with `signal`; a page that is shown again sets its own. */
  set signal(signal) {
    this.#signal = signal;
  }

  get hasMore() {
    return this.#cursor !== null;
  }

  /** Loads the next page, once for all who ask meanwhile; throws ApiError. */
  more(limit = PAGE) {
    this.#loading ??= this.#more(limit).finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  async #more(limit) {
    const answer = await this.#ask(this.#cursor, limit);
    this.#limits.push(limit);
    this.#take(merge(this.rows, answer), answer);
  }

  /** Loads as many pages again as there are, for lines that have come in between. */
  async again() {
    let rows = [];
    let answer = { cursor: null };
    if (!this.#limits.length) this.#limits.push(PAGE);
    for (const [i, limit] of this.#limits.entries()) {
      if (i && answer.cursor === null) break;
      answer = await this.#ask(answer.cursor, limit);
      if (!i) this.madeBy = answer.made_by; // Only the first page has it.
      rows = merge(rows, answer);
    }
    this.#take(rows, answer);
  }

  /** Loads until the place at `seconds` is there. */
  async reach(seconds) {
    while (this.hasMore && (this.rows.at(-1)?.start ?? 0) < seconds) await this.more(LARGE_PAGE);
  }

  #ask(cursor, limit) {
    return api("GET", this.#path, { query: { cursor, limit }, signal: this.#signal });
  }

  #take(rows, { cursor, is_partial: isPartial }) {
    this.rows = rows;
    this.#cursor = cursor;
    this.isPartial = isPartial;
    this.isLoaded = true;
  }

  /** Return the index of the line that begins at `seconds`, as a link has them, or -1. */
  lineFrom(seconds, channel = null) {
    const isIt = ({ start, text, channel: own }) =>
      text !== undefined && Math.abs(start - seconds) < 0.006 && (channel ?? own) === own;
    return this.rows.findIndex(isIt);
  }

  /** Return the index of the line that is spoken at `seconds`, on this channel if any, or -1. */
  lineAt(seconds, channel = null) {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle].start <= seconds + 0.01) low = middle + 1;
      else high = middle;
    }
    const isOther = (row) => channel !== null && row?.channel && row.channel !== channel;
    while (isOther(this.rows[low - 1])) low -= 1;
    const row = this.rows[low - 1];
    return row && row.text !== undefined && seconds < row.end + 0.5 ? low - 1 : -1;
  }
}

function merge(rows, { lines, gaps }) {
  const known = new Set(rows.filter((row) => row.text === undefined).map((row) => row.start));
  const fresh = gaps.filter((gap) => !known.has(gap.start));
  return [...rows, ...lines, ...fresh].sort((a, b) => a.start - b.start);
}
