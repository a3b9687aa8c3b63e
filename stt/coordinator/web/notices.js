// Short words at the edge of the page: what was done, and what went wrong.

import { visible } from "./visible.js";

const SECONDS = { done: 4, wrong: 12 };
const [polite, assertive] = document.querySelector("#notices").children;
const LISTS = { done: polite, wrong: assertive };

export const notice = (text) => add("done", text);

/** Show the message of an error; an aborted request is none. */
export function report(error) {
  if (error.name === "AbortError" || error.status === 401) return;
  if (!error.status && error.code !== "away") console.error(error);
  add("wrong", error.message);
}

function add(kind, message) {
  const list = LISTS[kind];
  const text = visible(message);
  const same = [...list.children].find((child) => child.firstChild.textContent === text);
  same?.remove();
  const item = document.createElement("div");
  item.className = `notice ${kind}`;
  const words = document.createElement("span");
  words.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "plain";
  close.textContent = "×";
  close.setAttribute("aria-label", "Close");
  close.addEventListener("click", () => item.remove());
  item.append(words, close);
  list.append(item);
  setTimeout(() => item.remove(), SECONDS[kind] * 1_000);
}
