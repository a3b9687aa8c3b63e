// One recording: its transcript beside its audio, and what can be done with it.

import { html, nothing, render } from "../vendor/lit-html/lit-html.js";
import { api, refusal } from "../api.js";
import { atTheEnd } from "../at_the_end.js";
import { recordingProgress, recordingState } from "../chunk_states.js";
import { onQueueChange } from "../reloading.js";
import { follow as followStatus } from "../live.js";
import { badge, name } from "../markup.js";
import { onKey } from "../keys.js";
import { menu } from "../menu.js";
import { notice } from "../notices.js";
import { Player } from "../player.js";
import { playerControls } from "../player_controls.js";
import { editLine } from "../line_editor.js";
import { facts, failures, madeBy, missingModel, silentSpeech } from "../recording_facts.js";
import { edit, remove, retryFailed, transcribeAgain } from "../recording_actions.js";
import { speakersPanel } from "../speakers_panel.js";
import { tabStop } from "../tab_stop.js";
import { Transcript } from "../transcript.js";
import { finder, unmark } from "../transcript_find.js";
import { rememberedView, rememberView, transcriptItems } from "../transcript_view.js";

const FORMATS = [
  ["txt", "Text (.txt)"],
  ["srt", "Subtitles (.srt)"],
  ["vtt", "Web subtitles (.vtt)"],
  ["json", "Everything (.json)"],
  ["tsv", "Table (.tsv)"],
];
const VIEWS = { paragraphs: "Paragraphs", lines: "Lines" };
const READING_SECONDS = 5;
const FAILURES = 5;
const DOUBLE_CLICK_MS = 300;

export function open(page) {
  const { id } = page.params;
  const path = `/api/recordings/${id}`;
  const { transcript = new Transcript(id) } = page.kept;
  transcript.signal = page.signal;
  let { recording = null, failed = [] } = page.kept;
  page.keep(() => ({ transcript, recording, failed, speakers: speakers.all }));
  let problem = null;
  let player = null;
  let isMoving = false;
  let playingLine = -1;
  let linked = null; // The place that a link leads to, until it is played: `{seconds, channel}`.
  let chunks = [];
  let missing = []; // Models that are asked for, and that no machine has.
  let channel = null;
  let readAt = 0;
  let chosen = 0; // The timer of a click on a line, which may become a double click.
  let isBegun = false; // Whether the latest click on a line has begun to play.
  let isEditing = false; // Whether a click on a line edits it, and plays nothing.
  let view = rememberedView();
  const stop = tabStop(".line");
  const find = finder({
    element: () => document.querySelector("#find"),
    load: () =>
      page.attempt(async () => {
        if (!transcript.hasMore) return;
        await transcript.reach(Infinity);
        draw();
      }),
    rows: () => transcript.rows,
    items: () => rowItems() ?? [],
    reveal: (item) => {
      readAt = Date.now();
      stop.set(item);
      item.scrollIntoView({ block: "center", behavior: "instant" });
    },
  });
  page.signal.addEventListener("abort", unmark);
  const speakers = speakersPanel({
    page,
    path,
    kept: page.kept.speakers,
    isAsked: () => problem === null && recording !== null && recording.speakers !== null,
    draw: () => draw(),
    reload: () => reload(true),
    canPlay: () => player?.canPlay ?? false,
    play: ({ start, end, channel: own }, onEnd) => {
      hear(own);
      player.playStretch(start, end, onEnd);
    },
    stop: () => player.pause(),
  });

  const draw = () => {
    if (page.signal.aborted) return; // What stands there is another page.
    page.draw(template());
    stop.keep(document.querySelector(".transcript"));
    if (document.querySelector("#find")) find.mark();
    if (player || !recording) return;
    player = new Player([...document.querySelectorAll(".player audio")], follow);
    page.signal.addEventListener("abort", () => player.close());
    follow();
    atTheEnd({ hasMore: () => transcript.hasMore, more, signal: page.signal });
  };

  const template = () => {
    if (problem)
      return html`<h1>Recording</h1>
        <p class="empty">${problem} <a href="/recordings">All recordings</a></p>`;
    if (!recording) return html`<p aria-busy="true">Loading</p>`;
    return html`
      <nav class="path" aria-label="Where you are"><a href="/recordings">Recordings</a></nav>
      <div class="heading">
        <h1>${name(recording.label)}</h1>
        ${badge(recordingState(recording))}
      </div>
      ${facts(recording)}
      ${silentSpeech(recording)}
      ${
        recordingState(recording) === "done"
          ? nothing
          : html`<div class="recording-progress">${recordingProgress(recording)}</div>`
      }
      ${missingModel(recording, missing)}
      ${failures(recording, failed, () => after(retryFailed))}
      ${actions()}
      ${speakers.template()}
      <section class="player" aria-label="Player">
        <audio preload="auto"></audio><audio preload="auto"></audio>
        <div id="controls"></div>
        <search id="find"></search>
      </section>
      <h2 class="hidden">Transcript</h2>
      ${lines()}
      ${madeBy(transcript.madeBy)}`;
  };

  const actions = () => html`<div class="actions">
    ${menu(
      "Download",
      [
        ...FORMATS.map(
          ([format, text]) =>
            html`<a href="/results/${id}?format=${format}&download=1" download>${text}</a>`,
        ),
        ...audioLinks(),
      ],
    )}
    ${
      navigator.clipboard // Only where the address is https or of this machine.
        ? html`<button class="small outline secondary" @click=${copy}>Copy text</button>`
        : nothing
    }
    <button class="small outline secondary" aria-pressed=${isEditing} @click=${() => {
      isEditing = !isEditing;
      draw();
    }}>Correct text</button>
    ${menu(
      "…",
      [
        html`<button @click=${() => after(edit)}>Edit name, priority and options…</button>`,
        html`<button @click=${() => after(transcribeAgain)}>Transcribe again…</button>`,
        html`<button class="wrong" @click=${leave}>Delete…</button>`,
      ],
      "More actions",
    )}
    <div role="group" class="switch" aria-label="Show the transcript as">${Object.entries(
      VIEWS,
    ).map(
      ([value, text]) => html`<button class="small outline secondary"
        aria-pressed=${view === value} @click=${() => show(value)}>${text}</button>`,
    )}</div>
  </div>`;

  /** The audio as it is kept: cut here, mono, in Opus. */
  const audioLinks = () => {
    const kept = chunks.filter((chunk) => chunk.has_audio && chunk.format === "opus");
    return [...new Set(kept.map((chunk) => chunk.channel))].map(
      (each) => html`<a href="/api/recordings/${id}/audio${each ? `?channel=${each}` : ""}" download>
        Audio${each ? `, channel ${each}` : ""} (Opus)</a>`,
    );
  };

  /** Show paragraphs or lines; what is at the top stays there. */
  const show = (value) => {
    const isBelow = (item) => item.getBoundingClientRect().top >= 0;
    const row = [...document.querySelectorAll(".transcript .line")].find(isBelow)?.row;
    const place = () => lineOf(row)?.getBoundingClientRect().top ?? 0;
    const before = place();
    view = value;
    rememberView(value);
    draw();
    follow();
    scrollBy({ top: place() - before, behavior: "instant" });
  };

  const rowItems = () => document.querySelector(".transcript")?.getElementsByClassName("row");
  const lineOf = (row) => rowItems()?.[transcript.rows.indexOf(row)];

  const copy = () =>
    page.attempt(async () => {
      const answer = await fetch(`/results/${id}?format=txt`, { signal: page.signal });
      const text = await answer.text();
      if (!answer.ok) throw refusal(answer.status, text);
      await navigator.clipboard.writeText(text);
      notice("The whole text is copied");
    });

  const lines = () => {
    if (!transcript.isLoaded) return html`<p aria-busy="true">Loading the transcript</p>`;
    if (!transcript.rows.length) {
      return html`<p class="empty">${
        recording.is_ingesting
          ? "The recording is being cut."
          : transcript.isPartial
            ? "Nothing has been transcribed yet."
            : "No speech in this recording."
      }</p>`;
    }
    return html`
      <p class="editing-hint" ?hidden=${!isEditing}>Choose a line to correct it.</p>
      <ol class="transcript as-${view} ${isEditing ? "is-editing" : ""}" @click=${choose}
          @keydown=${onLineKey} @focusin=${stop.onFocus}>
        ${transcriptItems(transcript.rows, view, recording.language, speakers.all.speakers)}
      </ol>
      <p id="end" class="more-button">${
        transcript.hasMore
          ? html`<button class="outline" @click=${more}>Show more</button>`
          : nothing
      }</p>`;
  };

  const controls = () =>
    playerControls({
      player,
      channels: channels(),
      channel,
      toggle,
      jump,
      hear,
      move: () => {
        isMoving = true;
      },
      seek: (seconds) => {
        isMoving = false;
        linked = null;
        player.seek(seconds);
      },
    });

  /** Mark the line that plays, and keep it in sight unless the reader has scrolled away. */
  const follow = () => {
    if (page.signal.aborted) return;
    if (!isMoving) render(controls(), document.querySelector("#controls"));
    if (player.isPlaying) linked = null;
    const now = linked
      ? transcript.lineFrom(linked.seconds, linked.channel)
      : player.isPlaying || player.time > 0
        ? transcript.lineAt(player.time, channel)
        : -1;
    const items = rowItems();
    if (!items) return;
    const before = document.querySelector(".transcript .is-playing");
    if (before === items[now] && now === playingLine) return;
    before?.classList.remove("is-playing");
    before?.removeAttribute("aria-current");
    playingLine = now;
    if (now < 0) return;
    const current = items[now];
    current.classList.add("is-playing");
    current.setAttribute("aria-current", "true");
    if (!document.activeElement.matches(".line")) stop.set(current);
    const isReading = Date.now() - readAt < READING_SECONDS * 1_000;
    if (player.isPlaying && !player.isStretch && !isReading)
      current.scrollIntoView({ block: "center", behavior: calm() });
  };
  const calm = () =>
    matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth";
  const toggle = () => (player.isPlaying ? player.pause() : player.play());

  /** Use the line of a click, unless that ends a selection of text, or begins one of a word. */
  const choose = ({ target, detail }) => {
    clearTimeout(chosen);
    const line =
      target.closest(".line") ?? target.closest("time")?.parentElement.querySelector(".line");
    if (!line) return;
    if (!detail) return use(line); // Not by a mouse.
    if (detail > 1 && isBegun) player.pause(); // A slow double click.
    isBegun = false;
    if (detail > 1) return;
    chosen = setTimeout(() => {
      if (page.signal.aborted || String(getSelection())) return;
      isBegun = !isEditing;
      use(line);
    }, DOUBLE_CLICK_MS);
  };
  const onLineKey = (event) => {
    if (event.key === "Enter" && event.target.matches(".line")) use(event.target);
    else stop.onKey(event);
  };
  const use = ({ row }) => {
    if (isEditing) return correct(row);
    hear(row.channel ?? null);
    player.isPlaying = true;
    player.seek(row.start);
  };

  const correct = async (row) => {
    const isIt = (each) => each.chunk_id === row.chunk_id && each.segment === row.segment;
    const isSaved = await editLine(row, async () => {
      await transcript.again();
      return transcript.rows.find(isIt);
    });
    if (isSaved) await page.attempt(() => transcript.again());
    draw();
    lineOf(transcript.rows.find(isIt))?.focus();
  };

  /** The channels that were cut by themselves, in order; none if all are mixed. */
  const channels = () => [...new Set(chunks.map((chunk) => chunk.channel ?? 0))].filter(Boolean);

  /** Play this channel from now on; if it is none of them, the first. */
  const hear = (wanted) => {
    const next = channels().includes(wanted) ? wanted : (channels()[0] ?? null);
    const place = player.time;
    const isOther = next !== channel;
    channel = next;
    player.setChunks(chunks.filter((chunk) => (chunk.channel ?? null) === channel));
    if (isOther && place > 0) player.seek(place);
  };

  const more = () =>
    page.attempt(async () => {
      await transcript.more();
      draw();
    });

  const after = async (action) => {
    await page.attempt(async () => {
      if (await action(recording)) await reload(true);
    });
  };

  const leave = async () => {
    if (await remove(recording)) page.go("/recordings");
  };

  let seen = "";
  const load = async () => {
    const { signal } = page;
    try {
      recording = await api("GET", path, { signal });
    } catch (error) {
      if (error.status !== 404 && error.status !== 422) throw error;
      problem = recording ? "This recording has been deleted." : "There is no such recording.";
      return draw();
    }
    page.setTitle(recording.label);
    draw();
    await page.attempt(() => speakers.load()); // Without them the text is there all the same.
    draw();
    const { counts, chunk_count: count, is_ingesting: isIngesting } = recording;
    const now = JSON.stringify([counts, count, isIngesting, speakers.all.version]);
    if (now === seen) return;
    const query = { source_id: id, limit: FAILURES };
    const [known, quarantine] = await Promise.all([
      api("GET", `${path}/chunks`, { signal }),
      recording.counts.failed ? api("GET", "/api/quarantine", { query, signal }) : { chunks: [] },
      transcript.again(),
    ]);
    ({ chunks } = known);
    failed = quarantine.chunks;
    hear(channel);
    const isFirst = seen === "";
    seen = now;
    draw();
    playingLine = -1;
    follow();
    if (isFirst && !page.kept.recording) await goToPlace();
  };

  /** A link from the search leads to a place: `?t=SECONDS`, and `channel` where there are several. */
  const goToPlace = async () => {
    const seconds = Number(page.query.get("t"));
    if (!page.query.has("t") || !(seconds >= 0)) return;
    await transcript.reach(seconds);
    draw();
    const asked = Number(page.query.get("channel")) || null;
    hear(asked);
    if (transcript.lineFrom(seconds, asked) >= 0) linked = { seconds, channel: asked };
    player.seek(seconds);
    follow(); // Without audio nothing is sought.
    const item = document.querySelector(".transcript .is-playing");
    item?.scrollIntoView({ block: "center", behavior: "instant" });
    item?.focus({ preventScroll: true });
  };

  for (const sign of ["wheel", "touchmove", "keydown", "pointerdown"]) {
    addEventListener(
      sign,
      () => {
        readAt = Date.now();
      },
      { signal: page.signal, passive: true },
    );
  }
  /** Jump so many seconds; false where there is nothing to play. */
  const jump = (seconds) => {
    if (!player?.canPlay) return false;
    linked = null;
    player.seek(Math.min(Math.max(player.time + seconds, 0), player.length));
  };
  onKey(" ", "Play or pause", () => (player?.canPlay ? void toggle() : false), page.signal);
  onKey("ArrowLeft", "Ten seconds back", () => jump(-10), page.signal);
  onKey("ArrowRight", "Ten seconds forward", () => jump(10), page.signal);
  onKey("f", "Find in this recording", () => (recording ? find.focus() : false), page.signal);
  onKey("ArrowDown", "Next line of the transcript", null, page.signal);
  onKey("ArrowUp", "Previous line", null, page.signal);
  onKey("Enter", "Play the line", null, page.signal);
  followStatus(
    "status",
    ({ missing_models: waiting }) => {
      const before = String(missing);
      missing = waiting.map(({ model }) => model);
      if (recording && String(missing) !== before) draw();
    },
    page.signal,
  );
  const reload = onQueueChange(load, page.signal);
  draw();
  if (transcript.isLoaded) page.place();
}
