// The frame around every page: menu, colours, the state of the connection, and which page is shown.

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { api } from "./api.js";
import { keepFocus } from "./keep_focus.js";
import { onKey, showKeys } from "./keys.js";
import { connect, follow } from "./live.js";
import { notice, report } from "./notices.js";
import { visible } from "./visible.js";
import { number } from "./format.js";
// All at once: a page that is fetched on demand could not be shown while offline.
import * as fleet from "./pages/fleet.js";
import * as quarantine from "./pages/quarantine.js";
import * as recording from "./pages/recording.js";
import * as recordings from "./pages/recordings.js";
import * as search from "./pages/search.js";
import * as settings from "./pages/settings.js";
import * as start from "./pages/start.js";
import * as upload from "./pages/upload.js";
import { nextTheme, theme } from "./theme.js";
import { followTransfers } from "./transfers.js";
import { acceptUploads } from "./upload_intake.js";
import { followEndings } from "./upload_notices.js";

const PAGES = [
  { at: /^\/$/, view: start, title: "Start" },
  { at: /^\/upload$/, view: upload, title: "Upload" },
  { at: /^\/recordings$/, view: recordings, title: "Recordings" },
  { at: /^\/recordings\/(?<id>[^/]+)$/, view: recording, title: "Recording" },
  { at: /^\/search$/, view: search, title: "Search" },
  { at: /^\/fleet$/, view: fleet, title: "Fleet" },
  { at: /^\/quarantine$/, view: quarantine, title: "Quarantine" },
  { at: /^\/settings$/, view: settings, title: "Settings" },
];
// Addresses that other pages have taken over.
const MOVED = { "/nodes": "/fleet" };
const MISSING = {
  title: "Not found",
  view: {
    open: ({ draw }) =>
      draw(html`<h1>Not found</h1>
        <p class="empty">There is no page at this address. <a href="/">Start</a></p>`),
  },
};
const MENU = [
  ["/", "Start"],
  ["/recordings", "Recordings"],
  ["/search", "Search"],
  ["/upload", "Upload"],
  ["/fleet", "Fleet"],
  ["/quarantine", "Quarantine"],
  ["/settings", "Settings"],
];
const STATES = {
  connecting: ["Connecting", "Connecting to the coordinator."],
  live: ["Live", "Changes show at once."],
  polling: ["Polling", "No live connection: this page asks every five seconds."],
  stale: [
    "Outdated",
    "A request failed, or nothing has come for a while: what you see may be old. This page asks again.",
  ],
  "database away": ["Database away", "The coordinator cannot reach its database."],
  offline: ["Offline", "The coordinator does not answer. What you see may be old."],
};

// Of the latest history entries, by their keys: what their pages keep, and how far they are scrolled.
const MAX_KEPT = 20;

const outlet = document.querySelector("#page");
const kept = new Map();
let leaving = new AbortController();
let entry = "";
let keep = () => ({});
let isMenuOpen = false;
let state = "connecting";
let failed = 0;

/** Show another of these pages, as a link to it would. */
function go(address) {
  leave();
  history.pushState({ key: crypto.getRandomValues(new Uint32Array(2)).join("-") }, "", address);
  outlet.focus({ preventScroll: true });
  show();
  scrollTo(0, 0);
}

/** Go back or forth: the page is shown as it was left, and its data is loaded again. */
function goBack() {
  leave();
  outlet.focus({ preventScroll: true });
  show();
}

function leave() {
  kept.delete(entry); // To be the last one again.
  const link = document.activeElement?.closest("#page a[href]")?.getAttribute("href");
  kept.set(entry, { ...keep(), scrollY, link });
  if (kept.size > MAX_KEPT) kept.delete(kept.keys().next().value);
  leaving.abort();
}

function show() {
  const moved = MOVED[location.pathname];
  if (moved) history.replaceState(history.state, "", moved + location.search);
  leaving = new AbortController();
  entry = history.state?.key ?? "";
  const before = kept.get(entry) ?? {};
  keep = () => before;
  const { signal } = leaving;
  const found = PAGES.find((page) => page.at.test(location.pathname)) ?? MISSING;
  isMenuOpen = false;
  drawTop();
  const fresh = document.createElement("div");
  fresh.className = `page ${found.title.toLowerCase()}`;
  outlet.replaceChildren(fresh);
  setTitle(found.title);
  let isPlaced = false;
  found.view.open({
    params: found.at?.exec(location.pathname).groups ?? {},
    query: new URLSearchParams(location.search),
    signal,
    go,
    /** What this entry of the history kept when it was left, or an empty object. */
    kept: before,
    /** Keep what `collect` returns when this page is left. */
    keep: (collect) => {
      keep = collect;
    },
    draw: (template) => signal.aborted || keepFocus(fresh, () => render(template, fresh)),
    /** Scroll to where the page was left; call it once, when what it kept is drawn. */
    place: () => {
      const links = isPlaced || !before.link ? [] : [...fresh.querySelectorAll("a[href]")];
      const link = links.find((each) => each.getAttribute("href") === before.link);
      link?.focus({ preventScroll: true });
      if (!isPlaced && before.scrollY) scrollTo(0, before.scrollY);
      isPlaced = true;
    },
    setTitle,
    /** Run `work`; show its error, and return undefined then. */
    attempt: async (work) => {
      try {
        return await work();
      } catch (error) {
        if (!signal.aborted) report(error);
      }
    },
  });
}

function setTitle(title) {
  document.title = `${visible(title)} · stt`;
  outlet.setAttribute("aria-label", visible(title)); // Read when the page gets the focus.
}

/** Go to the field that searches here, or to the page of the search. */
function goToSearch() {
  const field = outlet.querySelector("input[type=search]");
  if (field) field.focus();
  else go("/search");
}

function drawTop() {
  const [label, meaning] = STATES[state];
  const now = theme();
  render(
    html`
    <nav class="container" aria-label="Pages">
      <a class="brand" href="/"><img src="/login/icon.svg" alt="" width="28" height="28">stt</a>
      <button class="menu-button outline secondary" aria-controls="menu"
              aria-expanded=${isMenuOpen} @click=${toggleMenu}>Menu</button>
      <ul id="menu" class=${isMenuOpen ? "is-open" : ""}>
        ${MENU.map(
          ([href, title]) => html`
          <li><a href=${href} aria-current=${isHere(href) ? "page" : nothing}>${title}${
            href === "/quarantine" && failed
              ? html` <span class="count" title="chunks in quarantine">${number(failed)}</span>`
              : nothing
          }</a></li>`,
        )}
      </ul>
      <div class="tools">
        <span class="connection" role="status" data-state=${state} title=${meaning}>${label}</span>
        <button class="icon outline secondary" @click=${changeTheme}
                aria-label=${`Colours: ${now}. Change`} title=${`Colours: ${now}`}>${
                  { light: "☀", dark: "☾", system: "◐" }[now]
                }</button>
        <button class="icon keys-button outline secondary" @click=${showKeys} aria-label="Keyboard shortcuts"
                title="Keyboard shortcuts">?</button>
        <button class="outline secondary" @click=${logOut}>Log out</button>
      </div>
    </nav>`,
    document.querySelector("#top"),
  );
}

const isHere = (href) =>
  href === "/" ? location.pathname === "/" : location.pathname.startsWith(href);

function toggleMenu() {
  isMenuOpen = !isMenuOpen;
  drawTop();
}

function changeTheme() {
  notice(`Colours: ${nextTheme()}`);
  drawTop();
}

async function logOut() {
  try {
    await api("POST", "/logout");
    location.assign("/login");
  } catch (error) {
    report(error);
  }
}

history.scrollRestoration = "manual";
addEventListener("popstate", goBack);
document.addEventListener("click", (event) => {
  const { button, ctrlKey, metaKey, shiftKey, altKey } = event;
  const isPlain = button === 0 && !(ctrlKey || metaKey || shiftKey || altKey);
  const link = event.target.closest?.("a[href]");
  if (!isPlain || !link || event.defaultPrevented || link.target) return;
  if (link.className === "skip") {
    event.preventDefault();
    outlet.focus();
    return;
  }
  const address = new URL(link.href);
  const isPage =
    address.pathname in MOVED || PAGES.some((page) => page.at.test(address.pathname));
  if (address.origin !== location.origin || !isPage) return;
  event.preventDefault();
  go(address.pathname + address.search);
});
follow("state", (connection) => {
  state = connection;
  drawTop();
});
follow("status", (status) => {
  const now = status.counts.failed - status.dismissed;
  if (now === failed) return;
  failed = now;
  drawTop();
});
onKey("/", "Search", goToSearch);
onKey("?", "Show these shortcuts", showKeys);
followTransfers();
acceptUploads(go);
followEndings();
connect();
show();
