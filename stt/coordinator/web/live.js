// Live updates: over the WebSocket, or without it by a request every few seconds.

import { api, logIn } from "./api.js";

const POLL_SECONDS = 5;
// A status comes every ten seconds at least.
const FRESH_SECONDS = 15;
const SILENT_SECONDS = 25;
const SESSION_OVER = 4401;
const REQUESTS = {
  status: () => api("GET", "/status"),
  nodes: () => api("GET", "/api/nodes"),
  uploads: () => api("GET", "/api/uploads"),
};
// What the listeners get of a response or a message. What changes with the time alone is not sent
// again, so a node's update has the time at which it was received.
const UPDATES = {
  status: (message) => message,
  nodes: ({ nodes }) => nodes.map((node) => ({ ...node, received_at: Date.now() })),
  uploads: (message) => message.uploads,
};

const latest = {};
const listeners = { status: new Set(), nodes: new Set(), uploads: new Set(), state: new Set() };
let socket = null;
let tries = 0;
let connection = "connecting";
const failing = new Set();
let receivedAt = 0;
let timer = 0;

/**
 * Call `listener` with every update of `topic` until `signal` is aborted, and at once with the
 * latest if there is one.
 *
 * Topics: `status` (as GET /status), `nodes`, `uploads` (lists), and `state`: of the connection,
 * one of "connecting", "live", "polling", "stale", "database away", "offline".
 */
export function follow(topic, listener, signal) {
  listeners[topic].add(listener);
  signal?.addEventListener("abort", () => listeners[topic].delete(listener));
  if (topic in latest) listener(latest[topic]);
  else if (connection === "polling") requestAll();
}

/** Request a topic at once: after a change that this page has made. */
export async function refresh(topic) {
  publish(topic, UPDATES[topic](await REQUESTS[topic]()));
}

/** Show the state "stale" for as long as a page's load, known by any object, has failed. */
export function setFailing(load, isFailing) {
  if (isFailing) failing.add(load);
  else failing.delete(load);
  publishState();
}

export function connect() {
  publishState();
  clearTimeout(timer);
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/ws/dashboard`);
  socket.addEventListener("open", () => {
    tries = 0;
    setConnection("live");
  });
  socket.addEventListener("message", (event) => receive(JSON.parse(event.data)));
  socket.addEventListener("close", (event) => {
    if (event.code === SESSION_OVER) return logIn();
    tries += 1;
    poll(Date.now() + Math.min(2 ** tries, 30) * 1_000);
  });
}

function receive(message) {
  if (message.type === "away") return setConnection("database away");
  setConnection("live");
  if (message.type in UPDATES) publish(message.type, UPDATES[message.type](message));
}

function setConnection(state) {
  connection = state;
  receivedAt = Date.now();
  publishState();
}

function publishState() {
  const isSilent = connection === "live" && Date.now() - receivedAt > FRESH_SECONDS * 1_000;
  const isUp = connection === "live" || connection === "polling";
  publish("state", isUp && (isSilent || failing.size) ? "stale" : connection);
}

/** Request updates until it is time to try the WebSocket again. */
async function poll(until) {
  await requestAll();
  if (Date.now() >= until) return connect();
  const wait = Math.min(POLL_SECONDS * 1_000, Math.max(until - Date.now(), 250));
  timer = setTimeout(() => poll(until), wait);
}

async function requestAll() {
  try {
    for (const [topic, request] of Object.entries(REQUESTS)) {
      if (listeners[topic].size || topic === "status") publish(topic, UPDATES[topic](await request()));
    }
    setConnection("polling");
  } catch (error) {
    setConnection(error.status === 503 ? "database away" : error.status ? "stale" : "offline");
  }
}

function publish(topic, update) {
  if (topic === "state" && latest.state === update) return;
  latest[topic] = update;
  for (const listener of listeners[topic]) listener(update);
}

// A connection may break without a close event, as when a laptop wakes up on another network.
setInterval(() => {
  const isOpen = socket?.readyState === WebSocket.OPEN;
  if (isOpen && Date.now() - receivedAt > SILENT_SECONDS * 1_000) socket.close();
  publishState();
}, 2_500);
addEventListener("online", () => {
  if (socket?.readyState === WebSocket.CLOSED) connect();
});
