// Plays a recording out of its chunks, one after the other, as if it were one piece of audio.

/**
 * Two audio elements take turns: while one plays a chunk, the other loads the next one.
 *
 * `onChange(player)` is called when the place, the length or the playing changes.
 */
export class Player {
  #elements;
  #current = 0;
  #index = -1;
  #chunks = [];
  #stretch = null;
  #onChange;
  isPlaying = false;
  /** Why nothing plays, or null. */
  error = null;

  /** `elements`: two audio elements. */
  constructor(elements, onChange) {
    this.#elements = elements;
    this.#onChange = onChange;
    for (const element of elements) {
      const ours = (work) => () => element === this.#audio && work();
      element.addEventListener(
        "timeupdate",
        ours(() => {
          if (this.#stretch && this.time >= this.#stretch.end) this.pause();
          else this.#onChange(this);
        }),
      );
      element.addEventListener(
        "ended",
        ours(() => this.#next()),
      );
      element.addEventListener(
        "error",
        ours(() => this.#fail()),
      );
    }
  }

  /** Chunks in order: `{id, offset, duration, format}`, offsets in seconds of the recording. */
  setChunks(all) {
    const chunks = all.filter((chunk) => chunk.has_audio !== false);
    if (all.length > 0 && chunks.length === 0) this.error = "The audio was removed, the text is kept.";
    const playing = this.#chunks[this.#index]?.id;
    this.#chunks = chunks.filter((chunk) => chunk.offset != null);
    if (playing) this.#index = this.#chunks.findIndex((chunk) => chunk.id === playing);
    this.#onChange(this);
  }

  get canPlay() {
    return this.#chunks.length > 0;
  }

  /** The place in the recording, in seconds. */
  get time() {
    const chunk = this.#chunks[this.#index];
    return chunk ? chunk.offset + this.#audio.currentTime : 0;
  }

  /** The recording's length in seconds, as far as its chunks have one. */
  get length() {
    const last = this.#chunks.at(-1);
    return last ? last.offset + (last.duration ?? 0) : 0;
  }

  set speed(rate) {
    for (const element of this.#elements) {
      element.defaultPlaybackRate = rate;
      element.playbackRate = rate;
    }
  }

  /** Goes to a place of the recording, in seconds, and plays on from there if it was playing. */
  seek(seconds) {
    this.#leaveStretch();
    this.#goTo(seconds);
  }

  /** Whether a stretch is played for itself, by `playStretch`. */
  get isStretch() {
    return this.#stretch !== null;
  }

  /** Play until `end`, and go back to where it was then, or when paused. Call `onEnd()` at last. */
  playStretch(start, end, onEnd) {
    if (!this.canPlay) return onEnd();
    const before = this.#leaveStretch()?.before ?? this.time;
    this.#stretch = { end, before, onEnd };
    this.isPlaying = true;
    this.#goTo(start);
  }

  #leaveStretch() {
    const stretch = this.#stretch;
    this.#stretch = null;
    stretch?.onEnd();
    return stretch;
  }

  #goTo(seconds) {
    if (!this.canPlay) return;
    const after = this.#chunks.findIndex((chunk) => chunk.offset > seconds + 0.001);
    const index = Math.max((after === -1 ? this.#chunks.length : after) - 1, 0);
    this.#show(index, Math.max(seconds - this.#chunks[index].offset, 0));
    if (this.isPlaying) this.play();
    this.#onChange(this);
  }

  async play() {
    if (!this.canPlay) return;
    if (this.#index < 0) this.#show(0, 0);
    this.isPlaying = true;
    try {
      await this.#audio.play();
    } catch (error) {
      // A newer seek or pause has broken it off, or the `error` event follows.
      if (error.name === "NotAllowedError") this.pause();
    }
    this.#onChange(this);
  }

  pause() {
    this.isPlaying = false;
    this.#audio.pause();
    const stretch = this.#leaveStretch();
    if (stretch) this.#goTo(stretch.before);
    else this.#onChange(this);
  }

  /** Stop, and free what is loaded. */
  close() {
    this.isPlaying = false;
    this.#onChange = () => {};
    for (const element of this.#elements) {
      element.pause();
      element.removeAttribute("src");
      element.load();
    }
  }

  get #audio() {
    return this.#elements[this.#current];
  }

  get #spare() {
    return this.#elements[1 - this.#current];
  }

  #show(index, seconds) {
    this.error = null;
    const url = address(this.#chunks[index]);
    if (this.#audio.getAttribute("src") !== url || this.#audio.error) {
      this.#audio.pause();
      if (this.#spare.getAttribute("src") === url && !this.#spare.error)
        this.#current = 1 - this.#current;
      else this.#audio.src = url;
    }
    this.#index = index;
    // Before the audio is there, this is where it will start.
    this.#audio.currentTime = seconds;
    const next = this.#chunks[index + 1];
    if (next && this.#spare.getAttribute("src") !== address(next)) this.#spare.src = address(next);
  }

  #next() {
    if (this.#index + 1 >= this.#chunks.length) return this.pause();
    this.#show(this.#index + 1, 0);
    if (this.isPlaying) this.play();
  }

  #fail() {
    this.isPlaying = false;
    this.#leaveStretch();
    this.error = "This piece of audio cannot be played here.";
    this.pause(); // Firefox plays on, silently, where there is no loudspeaker.
  }
}

const address = (chunk) => `/chunks/${chunk.id}.${chunk.format ?? "opus"}`;
