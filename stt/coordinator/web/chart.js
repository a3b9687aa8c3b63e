// The throughput of the last day as bars; the only module that knows uPlot.

import uPlot from "./vendor/uplot/uPlot.esm.js";
import { hour, hours, plural } from "./format.js";
import { onThemeChange } from "./theme.js";

const HEIGHT = 200;
const HOUR = 3_600_000; // Milliseconds.

/**
 * Draws into `host` and returns a function that shows other buckets. `showLabel` gets the text for the
 * bar under the pointer, or null.
 */
export function throughputChart(host, showLabel, signal) {
  let buckets = [];
  let chart = null;

  const words = (self) => {
    const { left } = self.cursor;
    const at = left >= 0 && buckets.length ? self.posToVal(left, "x") * 1_000 : NaN;
    const bucket = buckets[Math.floor((at - Date.parse(buckets[0]?.at)) / HOUR)];
    if (!bucket) return showLabel(null);
    const end = new Date(Date.parse(bucket.at) + HOUR).toISOString();
    showLabel(
      `${hour(bucket.at)} to ${hour(end)}: ${hours(bucket.audio_seconds)} of audio, ` +
        `${plural(bucket.chunks, "chunk")}${bucket.failed ? `, ${bucket.failed} failed` : ""}`,
    );
  };

  const draw = () => {
    chart?.destroy();
    const colour = (name) => getComputedStyle(host).getPropertyValue(name).trim();
    const axis = {
      stroke: colour("--pico-muted-color"),
      grid: { stroke: colour("--pico-muted-border-color"), width: 1 },
      ticks: { show: false },
      font: "12px system-ui, sans-serif",
    };
    chart = new uPlot(
      {
        width: Math.max(host.clientWidth, 240),
        height: HEIGHT,
        legend: { show: false },
        cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
        scales: {
          // A bar stands on the hour that it begins at, and the last one needs its room too.
          x: { range: (_, first, last) => [first, last + HOUR / 1_000] },
          y: { range: (_, __, max) => [0, Math.max(max, 1)] },
        },
        axes: [
          {
            ...axis,
            size: 32,
            grid: { show: false },
            values: (_, ticks) => ticks.map((at) => hour(at * 1_000)),
          },
          { ...axis, size: 56, values: (_, ticks) => ticks.map((minutes) => `${minutes} min`) },
        ],
        series: [
          {},
          {
            fill: colour("--chart-fill"),
            width: 0,
            paths: uPlot.paths.bars({ size: [0.7, 40], align: 1, radius: 0.15 }),
            points: { show: false },
          },
        ],
        hooks: { setCursor: [words] },
      },
      columns(buckets),
      host,
    );
  };

  const resized = new ResizeObserver(() => {
    chart?.setSize({ width: Math.max(host.clientWidth, 240), height: HEIGHT });
  });
  resized.observe(host);
  signal.addEventListener("abort", () => {
    resized.disconnect();
    chart?.destroy();
  });
  onThemeChange(draw, signal);
  return (update) => {
    buckets = update;
    if (chart) chart.setData(columns(buckets));
    else draw();
  };
}

/** Times in seconds, and minutes of audio. */
const columns = (buckets) => [
  buckets.map((bucket) => Date.parse(bucket.at) / 1_000),
  buckets.map((bucket) => bucket.audio_seconds / 60),
];
