// When all files that this page has sent are done: a notification, a sound. Both are off at first.

import { html } from "./vendor/lit-html/lit-html.js";
import { api } from "./api.js";
import { number } from "./format.js";
import { follow } from "./live.js";
import { notice, report } from "./notices.js";
import { onTransfers, transfers } from "./transfers.js";
import { filesOf } from "./upload_rows.js";

const PAUSE_MS = 3_000;
// An answer may be older than the change that it was asked for: ask again, ever more seldom.
const AGAIN_MS = 5_000;
const MAX_AGAIN_MS = 60_000;
const MAX_ASKED = 200; // Recordings in one request.

const isOn = (kind) => localStorage.getItem(`stt-uploads-${kind}`) === "on";
const set = (kind, on) => localStorage.setItem(`stt-uploads-${kind}`, on ? "on" : "off");
const recordings = new Map();
let isDue = false;
let timer = 0;
let isToAsk = true;
let again = 0;
let againMs = AGAIN_MS;
let counts = "";

/** The two switches; `draw` is called when one has changed. */
export const noticeSwitches = (draw) => {
  const canNotify = "Notification" in globalThis && isSecureContext;
  return html`
    <fieldset class="notice-switches">
      <legend>When all files of this page are done</legend>
      <label><input type="checkbox" role="switch" ?disabled=${!canNotify}
               .checked=${canNotify && isOn("notification")}
               @change=${({ target }) => allow(target.checked).then(draw)}>
        Show a notification${canNotify ? "" : " (needs HTTPS)"}</label>
      <label><input type="checkbox" role="switch" .checked=${isOn("sound")}
               @change=${({ target }) => set("sound", target.checked)}> Play a sound</label>
    </fieldset>`;
};

async function allow(on) {
  const isAllowed = on && (await Notification.requestPermission()) === "granted";
  if (on && !isAllowed) notice("This browser shows no notifications of this page: allow them there.");
  set("notification", isAllowed);
}

/** Call it once. It also works while the tab is in the background. */
export function followEndings() {
  onTransfers(check);
  follow("uploads", check);
  follow("status", (status) => {
    const now = JSON.stringify(status.counts);
    if (now === counts) return;
    counts = now;
    againMs = AGAIN_MS;
    askAgain();
  });
}

const isAnyOpen = (files) => files.some(({ group }) => group === "open");

function check() {
  isDue ||= isAnyOpen(filesOf(transfers, [], recordings));
  if (!isDue || timer || !(isOn("notification") || isOn("sound"))) return;
  timer = setTimeout(async () => {
    timer = 0;
    if (isToAsk) await ask();
    const files = filesOf(transfers, [], recordings);
    if (!isDue || isAnyOpen(files)) return;
    isDue = false;
    announce(files);
  }, PAUSE_MS);
}

function askAgain() {
  isToAsk = true;
  check();
}

async function ask() {
  isToAsk = false;
  await load().catch(() => {}); // It is asked again.
  clearTimeout(again);
  again = setTimeout(askAgain, againMs);
  againMs = Math.min(2 * againMs, MAX_AGAIN_MS);
}

async function load() {
  const open = filesOf(transfers, [], recordings).filter(({ group }) => group === "open");
  const ids = open.map(({ upload }) => upload?.source_id).filter(Boolean).slice(0, MAX_ASKED);
  if (!ids.length) return;
  const query = new URLSearchParams(ids.map((id) => ["id", id]));
  query.set("limit", MAX_ASKED);
  const answer = await api("GET", `/api/recordings?${query}`);
  for (const id of ids) recordings.set(id, null);
  for (const recording of answer.recordings) recordings.set(recording.id, recording);
}

function announce(files) {
  const count = (name) => files.filter(({ group }) => group === name).length;
  const [done, failed] = [count("done"), count("failed")];
  if (!done && !failed) return;
  const body = `${number(done)} done${failed ? ` · ${number(failed)} failed` : ""}`;
  if (isOn("notification") && globalThis.Notification?.permission === "granted") {
    const shown = new Notification("Your recordings are transcribed", {
      body,
      icon: "/login/icon.svg",
      tag: "stt-uploads",
    });
    shown.onclick = () => globalThis.focus();
  }
  if (isOn("sound")) play().catch(report);
}

async function play() {
  const audio = new AudioContext();
  const [tone, volume] = [audio.createOscillator(), audio.createGain()];
  tone.frequency.value = 660;
  volume.gain.setValueAtTime(0.15, audio.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.6);
  tone.connect(volume).connect(audio.destination);
  tone.start();
  tone.stop(audio.currentTime + 0.6);
  await new Promise((resolve) => {
    tone.onended = resolve;
  });
  await audio.close();
}
