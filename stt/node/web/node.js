"use strict";
// Asks this node every two seconds what it is at. What others wrote is only ever set as text.

const every = 2000;
const words = {
  connecting: ["Connecting to the coordinator", "wait"],
  starting: ["Starts the whisper server", "wait"],
  working: ["Idle", "good"],
  paused: ["Paused", "wait"],
  waiting: ["Waits to try again", "bad"],
  stopping: ["Stops", "wait"],
};
const finished = []; // seconds of audio, and of work, of the last jobs
let running = new Map();

const at = (id) => document.getElementById(id);
const setText = (id, text) => { at(id).textContent = text; };
const figures = new Intl.NumberFormat("en");
const setNumber = (id, value) => setText(id, value === undefined ? "–" : figures.format(value));

function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${Math.round(seconds / 86400)} days`;
}

// A server says nothing of how far it is: the jobs before show how long one may take.
function expected(job) {
  const audio = finished.reduce((sum, done) => sum + done.audio, 0);
  const work = finished.reduce((sum, done) => sum + done.work, 0);
  return audio > 0 && work > 0 ? (job.seconds * work) / audio : null;
}

function remember(jobs) {
  const now = new Map(jobs.map((job) => [job.chunk_ids.join(), job]));
  for (const [key, job] of running) {
    if (!now.has(key) && job.seconds > 0) finished.push({ audio: job.seconds, work: job.elapsed_seconds + 1 });
  }
  finished.splice(0, Math.max(0, finished.length - 20));
  running = now;
}

function line(job) {
  const item = document.createElement("li");
  const head = document.createElement("div");
  head.className = "line";
  const name = document.createElement("bdi");
  name.textContent = job.filename || "a recording";
  const facts = document.createElement("span");
  facts.className = "quiet";
  facts.textContent = `${clock(job.seconds)} of audio, for ${clock(job.elapsed_seconds)}`;
  head.append(name, facts);
  const bar = document.createElement("progress");
  bar.setAttribute("aria-label", `Progress of ${name.textContent}`);
  const whole = expected(job);
  if (whole !== null) {
    bar.max = 1;
    bar.value = Math.min(0.95, job.elapsed_seconds / whole);
  }
  item.append(head, bar);
  return item;
}

function show(state) {
  remember(state.jobs);
  document.title = `${state.name} – stt node`;
  setText("name", state.name);
  const [word, mood] = words[state.phase] || [state.phase, "wait"];
  setText("phase", state.jobs.length && state.phase === "working" ? "Transcribing" : word);
  at("light").className = `light ${state.is_reached ? mood : "bad"}`;
  notify(state.detail || (state.is_reached ? "" : "The coordinator does not answer: finished work is kept and offered again."));
  at("jobs").replaceChildren(...state.jobs.map(line));
  at("no-jobs").hidden = state.jobs.length > 0;
  for (const ending of ["transcribed", "empty", "error"]) setNumber(ending, state.counts[ending] ?? 0);
  showFleet(state.fleet);
  const link = at("coordinator");
  link.textContent = state.server_url;
  if (/^https?:/.test(state.server_url)) link.href = state.server_url;
  setText("node-id", state.node_id);
  setText("model", state.model || "the server's choice");
  setText("device", state.device || "–");
  setText("server", state.whisper_server ? state.whisper_server + (state.has_own_server ? " (of this node)" : "") : "–");
  setText("priority", state.priority);
  setText("channel", state.has_channel ? "open" : "closed: settings come with the heartbeats");
}

function notify(text) {
  if (at("notice").textContent !== text) setText("notice", text); // It is read aloud once.
  at("notice").hidden = !text;
}

function showFleet(fleet) {
  at("fleet").hidden = !fleet;
  at("no-fleet").hidden = Boolean(fleet);
  if (!fleet) return;
  const counts = fleet.counts || {};
  setNumber("pending", counts.pending);
  setNumber("processing", counts.processing);
  setNumber("done", counts.transcribed);
  setNumber("failed", counts.failed);
  setText("eta", span(fleet.eta_seconds));
  setText("nodes", fleet.nodes ? `${fleet.nodes.busy} of ${fleet.nodes.busy + fleet.nodes.online}` : "–");
}

async function poll() {
  try {
    const answer = await fetch("api/state", { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    show(await answer.json());
  } catch {
    setText("phase", "This node does not run any more");
    at("light").className = "light bad";
    notify("What you see is how it was at last.");
  }
  setTimeout(poll, every);
}

poll();
