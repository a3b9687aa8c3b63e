// The machines that work for this coordinator, and how another one joins; a part of the page "Fleet".

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { repeat } from "./vendor/lit-html/directives/repeat.js";
import { api } from "./api.js";
import { copyable } from "./copyable.js";
import { ask, confirm, inform } from "./dialogs.js";
import { modelsOf } from "./fleet_models.js";
import { every, onQueueChange } from "./reloading.js";
import { ago, number, plural } from "./format.js";
import { follow, refresh } from "./live.js";
import { joinPanel, noMachineYet } from "./join_panel.js";
import { jobList } from "./node_jobs.js";
import { badge, foreign, name, since } from "./markup.js";
import { notice } from "./notices.js";

// The words of docs/glossary.md.
const STATES = { online: "idle", busy: "transcribing" };

/** `draw` draws the page anew. Returns the panel's buttons, and what it shows. */
export function nodesPanel(page, draw) {
  let nodes = null;
  let workers = [];
  let joining = null;
  let publicUrl = null;
  const testing = new Set();

  const buttons = () => html`
    <button @click=${join}>Join a machine</button>
    <button class="outline secondary" @click=${addByHand}>Add by hand…</button>`;

  const body = () => html`
    ${joining ? joinPanel(joining, publicUrl, { hide, revoke }) : nothing}
    ${
      nodes === null
        ? html`<p aria-busy="true">Loading</p>`
        : nodes.length
          ? html`<div class="cards">${repeat(nodes, (node) => node.id, card)}</div>`
          : joining
            ? nothing
            : noMachineYet()
    }
    ${localWorkers()}`;

  const localOnes = () => workers.filter((worker) => worker.is_alive && !worker.node_id);

  const hide = () => {
    joining = null;
    draw();
  };

  const card = (node) => html`
    <article class="node" data-state=${node.state}>
      <header class="line-up">
        <h3>${name(node.name)}</h3>
        ${node.is_enabled ? nothing : badge("paused")}${badge(STATES[node.state] ?? node.state)}
      </header>
      ${jobList(node)}
      <dl class="facts">
        <div><dt>Last heartbeat</dt><dd>${since(node.seen_at)}</dd></div>
        <div><dt>Machine</dt><dd>${foreign(node.platform || "–")}</dd></div>
        <div><dt>Server</dt><dd>${serverOf(node)}</dd></div>
        <div><dt>Model</dt><dd>${modelOf(node)}</dd></div>
        <div><dt>Priority</dt><dd>${number(node.priority)}</dd></div>
        <div><dt>Last test</dt><dd>${testResult(node)}</dd></div>
      </dl>
      <footer class="actions">
        <button class="small outline secondary" aria-busy=${testing.has(node.id)}
                @click=${() => test(node)}
                aria-label=${`Test ${node.name}`}>Test</button>
        <button class="small outline secondary" @click=${() => edit(node)}
                aria-label=${`Edit ${node.name}`}>Edit…</button>
        <button class="small outline danger" @click=${() => remove(node)}
                aria-label=${`Remove ${node.name}`}>Remove…</button>
        <label class="switch"><input type="checkbox" role="switch" .checked=${node.is_enabled}
          @change=${(event) => enable(node, event.target)}
          aria-label=${`${node.name} gets work`}> gets work</label>
      </footer>
    </article>`;

  const serverOf = (node) => {
    const servers = [
      ...new Set((node.workers ?? []).map((worker) => worker.server).filter(Boolean)),
    ];
    return servers.length ? servers.map((server) => name(server)) : "–";
  };

  /** The model that it has been given, or its own choice, with those that it has loaded. */
  const modelOf = (node) => {
    const loaded = modelsOf(node.workers ?? []);
    if (!node.model) return foreign([...loaded, "its own choice"].join(", "));
    const others = loaded.filter((model) => model !== node.model);
    return foreign(others.length ? `${node.model}; loaded: ${others.join(", ")}` : node.model);
  };

  const testResult = ({ last_test: last }) => {
    if (!last) return "none yet";
    const words = last.ok
      ? `well, ${number(Math.round(last.milliseconds))} ms`
      : last.detail || "failed";
    return html`<span class=${last.ok ? "" : "wrong"} title=${last.detail ?? ""}>${words}</span>,
      ${since(last.at)}`;
  };

  const localWorkers = () => {
    const local = localOnes();
    return local.length
      ? html`
      <section>
        <h3>Workers at the database</h3>
        <table class="list workers-list">
          <thead><tr><th scope="col">Worker</th><th scope="col">Server</th>
            <th scope="col">Model</th><th scope="col">Transcribing</th>
            <th scope="col">Done</th><th scope="col">Last heartbeat</th></tr></thead>
          <tbody>${local.map(
            (worker) => html`<tr>
            <th scope="row">${name(worker.id)}</th><td>${name(worker.server || "–")}</td>
            <td>${name(worker.models.join(", ") || "–")}</td>
            <td>${plural(worker.chunks.length, "chunk")}</td>
            <td>${number(worker.counts?.transcribed ?? 0)} done</td>
            <td>${ago(new Date(Date.now() - worker.age_seconds * 1_000).toISOString())}</td></tr>`,
          )}</tbody>
        </table>
      </section>`
      : nothing;
  };

  const join = () =>
    page.attempt(async () => {
      ({ public_url: publicUrl } = await api("GET", "/api/session"));
      joining = await api("POST", "/api/nodes/join-codes");
      draw();
      document.querySelector(".join").scrollIntoView({ block: "nearest" });
    });

  const revoke = async () => {
    const isSure = await confirm(
      "End all join codes",
      "Machines that have joined stay; no other one can join with a code that was given out.",
      "End them",
    );
    if (!isSure) return;
    await page.attempt(async () => {
      await api("DELETE", "/api/nodes/join-codes");
      joining = null;
      notice("No join code is valid any more");
      draw();
    });
  };

  const addByHand = async () => {
    let made = null;
    const isMade = await ask(
      "Add a node by hand",
      html`
      <p>For a machine on which you write <code>node.json</code> yourself.</p>
      <label>Name <input name="name" required maxlength="100" autofocus></label>`,
      "Add",
      {
        save: async (form) => {
          ({ public_url: publicUrl } = await api("GET", "/api/session"));
          made = await api("POST", "/api/nodes", { body: { name: form.get("name").trim() } });
        },
      },
    );
    if (!isMade) return;
    reload();
    const { node, api_key: key } = made;
    const file = JSON.stringify(
      { server_url: publicUrl ?? location.origin, node_id: node.id, api_key: key, name: node.name },
      null,
      2,
    );
    await inform(
      `The key of ${node.name}`,
      html`
      <p>It is shown this once; only its hash is kept. Its <code>node.json</code>:</p>
      ${copyable(file)}`,
    );
  };

  const edit = (node) =>
    ask(
      "Edit node",
      html`
    <label>Name <input name="name" required maxlength="100" value=${node.name}></label>
    <label>Priority <input name="priority" type="number" step="1" min="-1000" max="1000" required
      value=${node.priority}>
      <small>Nodes with a higher one get work first.</small></label>
    <label>Model <input name="model" maxlength="100" value=${node.model ?? ""}
      placeholder="its own choice">
      <small>The node starts anew with it after what it transcribes now.</small></label>`,
      "Save",
      {
        save: async (form) => {
          const changes = {
            name: form.get("name").trim(),
            priority: Number(form.get("priority")),
            model: form.get("model").trim() || null,
          };
          const changed = Object.entries(changes).filter(([field, value]) => value !== node[field]);
          if (!changed.length) return;
          await api("PATCH", `/api/nodes/${node.id}`, { body: Object.fromEntries(changed) });
          notice("Saved");
          await reload();
        },
      },
    );

  const enable = async (node, box) => {
    const wanted = box.checked;
    const done = await page.attempt(() =>
      api("PATCH", `/api/nodes/${node.id}`, { body: { is_enabled: wanted } }),
    );
    if (!done) box.checked = node.is_enabled;
    else notice(wanted ? `${node.name} gets work` : `${node.name} gets no more work`);
    await reload();
  };

  const test = (node) =>
    page.attempt(async () => {
      if (testing.has(node.id)) return;
      testing.add(node.id);
      draw();
      try {
        const { ok, milliseconds, detail } = await api("POST", `/api/nodes/${node.id}/test`);
        notice(
          ok
            ? `${node.name} answered in ${number(Math.round(milliseconds))} ms`
            : `${node.name}: ${detail}`,
        );
        await reload();
      } finally {
        testing.delete(node.id);
        draw();
      }
    });

  const remove = async (node) => {
    const isSure = await confirm(
      "Remove node",
      html`${name(node.name)} is informed and stops. What it
      transcribes now goes back to the queue, and its key opens nothing any more.`,
      "Remove",
      { isDangerous: true },
    );
    if (!isSure) return;
    await page.attempt(async () => {
      await api("DELETE", `/api/nodes/${node.id}`);
      notice(`${node.name} was removed`);
      await reload();
    });
  };

  const reload = () => page.attempt(() => refresh("nodes"));
  follow(
    "nodes",
    (update) => {
      nodes = update;
      draw();
    },
    page.signal,
  );
  onQueueChange(
    async () => {
      ({ workers } = await api("GET", "/api/workers", { signal: page.signal }));
      draw();
    },
    page.signal,
    5,
  );
  every(5, draw, page.signal);
  return { buttons, body };
}
