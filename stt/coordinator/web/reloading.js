// When a page loads its data again.

import { follow } from "./live.js";

/**
 * Run `load` now, and again whenever the queue has changed since: never twice at once, and with
 * `seconds` between two loads, so that a busy fleet does not keep every page requesting.
 */
export function onQueueChange(load, signal, seconds = 3) {
  let seen = null;
  let isDue = true;
  let isBusy = false;

  const run = async () => {
    if (!isDue || isBusy || signal.aborted || document.hidden) return;
    isDue = false;
    isBusy = true;
    await load();
    setTimeout(() => {
      isBusy = false;
      run();
    }, seconds * 1_000);
  };
  onReturn(() => {
    isDue = true;
    run();
  }, signal);
  follow(
    "status",
    (status) => {
      const now = JSON.stringify(status.counts);
      isDue ||= seen !== null && now !== seen;
      seen = now;
      run();
    },
    signal,
  );
  document.addEventListener("visibilitychange", run, { signal });
  run();
}

/** Run `work` when the coordinator and its database are back after they were away. */
export function onReturn(work, signal) {
  let wasAway = false;
  follow(
    "state",
    (state) => {
      const isAway = state === "offline" || state === "database away";
      if (wasAway && !isAway) work();
      wasAway = isAway;
    },
    signal,
  );
}

/** Run `work` every so many seconds while the page is visible, until it is left. */
export function every(seconds, work, signal) {
  const timer = setInterval(() => document.hidden || work(), seconds * 1_000);
  signal.addEventListener("abort", () => clearInterval(timer));
}
