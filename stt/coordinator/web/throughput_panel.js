// What was transcribed in the last day, hour by hour; a part of the page "Fleet".

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { api } from "./api.js";
import { throughputChart } from "./chart.js";
import { hour, hours, number, plural } from "./format.js";
import { every, loader } from "./reloading.js";

/**
 * `draw` draws the page anew. Returns what the panel shows, and `fill`, which draws the chart into
 * the page and is to be called after each drawing.
 */
export function throughputPanel(page, draw) {
  let buckets = null;
  let pointed = null;
  let showBuckets = null;

  const body = () => html`
    <section>
      <h2>Throughput of the last day</h2>
      <figure class="chart">
        <div id="throughput" aria-hidden="true"></div>
        <figcaption>${pointed ?? daySummary()}</figcaption>
      </figure>
      ${buckets?.some((bucket) => bucket.chunks || bucket.failed) ? bucketTable() : nothing}
    </section>`;

  const fill = () => {
    const host = document.querySelector("#throughput");
    if (!host || !buckets || showBuckets) return;
    const showLabel = (words) => {
      pointed = words;
      draw();
    };
    showBuckets = throughputChart(host, showLabel, page.signal);
    showBuckets(buckets);
  };

  const daySummary = () => {
    if (!buckets) return " ";
    const chunks = buckets.reduce((sum, bucket) => sum + bucket.chunks, 0);
    const seconds = buckets.reduce((sum, bucket) => sum + bucket.audio_seconds, 0);
    return chunks
      ? `${hours(seconds)} of audio in ${plural(chunks, "chunk")}. Point at a bar for its hour.`
      : "Nothing was transcribed in the last day.";
  };

  const bucketTable = () => html`
    <details>
      <summary>As a table</summary>
      <div class="scroll"><table>
        <thead><tr><th scope="col">From</th><th scope="col">Audio</th><th scope="col">Chunks</th>
          <th scope="col">Failed</th></tr></thead>
        <tbody>${buckets
          .filter((bucket) => bucket.chunks || bucket.failed)
          .map(
            (bucket) => html`
          <tr><th scope="row">${hour(bucket.at)}</th><td>${hours(bucket.audio_seconds)}</td>
            <td>${number(bucket.chunks)}</td><td>${number(bucket.failed)}</td></tr>`,
          )}</tbody>
      </table></div>
    </details>`;

  const load = loader(async () => {
    ({ buckets } = await api("GET", "/api/queue/throughput", {
      query: { hours: 24 },
      signal: page.signal,
    }));
    showBuckets?.(buckets);
    draw();
  }, page.signal);
  every(60, load, page.signal);
  load();
  return { body, fill };
}
