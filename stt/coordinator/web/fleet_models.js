// What the machines at work have, for the fields in which it is asked for: models, and speakers.

import { api } from "./api.js";

const FRESH_MILLISECONDS = 30_000;
const FIELDS = "input[list=fleet-models]";
const ANY_MODEL = "whisper-1";
const ALIASES = { large: "large-v3", turbo: "large-v3-turbo" };

let models = null; // Those that workers list; null while one does not say, or none is at work.
let lacksSpeakers = false; // Whether they all say that they find none.
let askedAt = -Infinity;

/** Offer the models in all fields for one, and say of what is asked for that no machine has it. */
export async function offerModels() {
  if (performance.now() - askedAt < FRESH_MILLISECONDS) return requestAnimationFrame(checkAll);
  askedAt = performance.now();
  try {
    const { workers } = await api("GET", "/api/workers");
    const alive = workers.filter((worker) => worker.is_alive && worker.slots);
    models = allModelsOf(alive);
    lacksSpeakers = alive.length > 0 && alive.every((worker) => worker.finds_speakers === false);
  } catch {
    askedAt = -Infinity; // The field works without; the next one asks again.
  }
  const names = models ?? [];
  document.querySelector("#fleet-models").replaceChildren(...names.map((name) => new Option(name)));
  checkAll();
}

/** The models that these workers list, each once. */
export const modelsOf = (workers) => [...new Set(workers.flatMap(({ models }) => models))].sort();

const allModelsOf = (workers) =>
  workers.length && workers.every(({ models }) => models.length) ? modelsOf(workers) : null;

function checkAll() {
  document.querySelectorAll(FIELDS).forEach(check);
  for (const note of document.querySelectorAll(".speakers-note")) {
    say(
      note,
      lacksSpeakers
        ? "No machine at work finds speakers: what asks for them waits for one that does."
        : "",
    );
  }
}

function check(field) {
  const model = field.value.trim();
  const isKnown = [model, ALIASES[model]].some((name) => models?.includes(name));
  const isMissing = model && model !== ANY_MODEL && models !== null && !isKnown;
  const text = isMissing
    ? `No machine at work has it: what asks for it waits. There is ${models.join(", ")}.`
    : "";
  say(field.closest("label, .setting").querySelector(".model-note"), text);
}

/** Show a text in a region that is read aloud: only when it is another one. */
function say(region, text) {
  if (region.textContent !== text) region.textContent = text;
}

document.addEventListener("input", ({ target }) => target.matches(FIELDS) && check(target));
