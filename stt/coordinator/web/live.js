// What goes on, as it happens: over the WebSocket, or by asking every few seconds without it.

import { api, logIn } from "./api.js";

const ASK_SECONDS = 5;
const SILENT_SECONDS = 25; // A status comes every ten at least.
const SESSION_OVER = 4401;
const ASKED_FOR = {
  status: () => api("GET", "/status"),
  nodes: () => api("GET", "/api/nodes"),
  uploads: () => api("GET", "/api/uploads"),
};
// What the listeners get of an answer or a message. What passes with the time alone is not told
// anew, so a node's news know when they came.
const NEWS = {
  status: (message) => message,
  nodes: ({ nodes }) => nodes.map((node) => ({ ...node, heard_at: Date.now() })),
  uploads: (message) => message.uploads,
};

const latest = {};
const listeners = { status: new Set(), nodes: new Set(), uploads: new Set(), state: new Set() };
let socket = null;
let tries = 0;
let heardAt = 0;
let timer = 0;

/**
 * Calls `listener` with every news about `topic` until `signal` is aborted, and at once with what
 * is known already.
 *
 * Topics: `status` (as GET /status), `nodes`, `uploads` (lists), and `state`: how the news come,
 * one of "connecting", "live", "polling", "database away", "offline".
 */
export function follow(topic, listener, signal) {
  listeners[topic].add(listener);
  signal?.addEventListener("abort", () => listeners[topic].delete(listener));
  if (topic in latest) listener(latest[topic]);
  else if (latest.state === "polling") ask();
}

/** Asks once, without waiting for the news: after a change that this page has made. */
export async function refresh(topic) {
  tell(topic, NEWS[topic](await ASKED_FOR[topic]()));
}

export function connect() {
  tell("state", latest.state ?? "connecting");
  clearTimeout(timer);
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/ws/dashboard`);
  socket.addEventListener("open", () => {
    tries = 0;
    heard("live");
  });
  socket.addEventListener("message", (event) => receive(JSON.parse(event.data)));
  socket.addEventListener("close", (event) => {
    if (event.code === SESSION_OVER) return logIn();
    tries += 1;
    poll(Date.now() + Math.min(2 ** tries, 30) * 1_000);
  });
}

function receive(message) {
  if (message.type === "away") return heard("database away");
  heard("live");
  if (message.type in NEWS) tell(message.type, NEWS[message.type](message));
}

function heard(state) {
  heardAt = Date.now();
  tell("state", state);
}

/** Asks until it is time to try the WebSocket again. */
async function poll(until) {
  await ask();
  if (Date.now() >= until) return connect();
  const wait = Math.min(ASK_SECONDS * 1_000, Math.max(until - Date.now(), 250));
  timer = setTimeout(() => poll(until), wait);
}

async function ask() {
  try {
    for (const [topic, question] of Object.entries(ASKED_FOR)) {
      if (listeners[topic].size || topic === "status") tell(topic, NEWS[topic](await question()));
    }
    tell("state", "polling");
  } catch (error) {
    tell("state", error.status === 503 ? "database away" : error.status ? "polling" : "offline");
  }
}

function tell(topic, news) {
  if (topic === "state" && latest.state === news) return;
  latest[topic] = news;
  for (const listener of listeners[topic]) listener(news);
}

// A connection that died without a word, as one does when a laptop wakes up elsewhere.
setInterval(() => {
  const isOpen = socket?.readyState === WebSocket.OPEN;
  if (isOpen && Date.now() - heardAt > SILENT_SECONDS * 1_000) socket.close();
}, 5_000);
addEventListener("online", () => {
  if (socket?.readyState === WebSocket.CLOSED) connect();
});
