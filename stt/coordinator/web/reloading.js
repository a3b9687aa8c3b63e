// When a page loads its data again.

import { follow, setFailing } from "./live.js";
import { report } from "./notices.js";

const MAX_PAUSE_SECONDS = 30;
const MAX_AGE_SECONDS = 60;

/**
 * Return a function that runs `load`: never twice at once, with `seconds` between two runs, and not
 * while the page is hidden. Call it with true to run without that pause.
 *
 * A load that throws is run again, after pauses that grow to half a minute, until it succeeds;
 * meanwhile the page is shown as outdated.
 */
export function loader(load, signal, seconds = 0) {
  let isDue = false;
  let isBusy = false;
  let timer = 0;
  let failures = 0;

  const run = async () => {
    if (!isDue || isBusy || timer || signal.aborted || document.hidden) return;
    isDue = false;
    isBusy = true;
    try {
      await load();
      failures = 0;
    } catch (error) {
      if (!failures && !signal.aborted) report(error);
      failures += 1;
      isDue = true;
    }
    isBusy = false;
    if (signal.aborted) return;
    setFailing(load, failures > 0);
    const pause = failures ? Math.min(2 ** failures, MAX_PAUSE_SECONDS) : seconds;
    timer = setTimeout(resume, pause * 1_000);
  };
  const resume = () => {
    clearTimeout(timer);
    timer = 0;
    return run();
  };
  document.addEventListener("visibilitychange", run, { signal });
  signal.addEventListener("abort", () => setFailing(load, false));
  const again = (isUrgent = false) => {
    isDue = true;
    return isUrgent ? resume() : run();
  };
  onReturn(() => again(true), signal);
  return again;
}

/**
 * Run `load` now, whenever the queue has changed since, and once a minute for what changes without
 * it; return its loader. With `seconds` between two loads a busy fleet does not keep every page
 * requesting.
 */
export function onQueueChange(load, signal, seconds = 3) {
  let seen = null;
  const again = loader(load, signal, seconds);
  follow(
    "status",
    (status) => {
      const now = JSON.stringify(status.counts);
      if (seen !== null && now !== seen) again();
      seen = now;
    },
    signal,
  );
  every(MAX_AGE_SECONDS, again, signal);
  again();
  return again;
}

/** Run `work` when the coordinator and its database are back after they were away. */
function onReturn(work, signal) {
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
