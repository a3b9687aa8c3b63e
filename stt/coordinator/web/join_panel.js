// How a machine becomes a node: what to install, and the commands to type there.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { copyable } from "./copyable.js";
import { ago } from "./format.js";

const INSTALL = `pip install "stt-fleet[node,server]"`;

/**
 * The commands with a join code, `{code, expires_at}`.
 *
 * `publicUrl`: the address that others use, if it is set. `actions`: `hide` and `revoke`.
 */
export const joinPanel = (joining, publicUrl, actions) => html`
  <article class="join" aria-label="Join a machine">
    <h3>Join a machine</h3>
    ${steps(registration(publicUrl ?? location.origin, joining.code))}
    <p><small>The code is <strong>${joining.code}</strong>. It ends ${ago(joining.expires_at)},
      and may be used for several machines until then. On a machine that others use too, leave
      <code>--code</code> out: it is asked for.
      ${
        !publicUrl && isLoopback()
          ? html`<span class="wrong">Other machines cannot reach ${location.hostname}: open
        this page by an address that they reach, or set <code>STT_PUBLIC_URL</code>.</span>`
          : nothing
      }</small></p>
    <p class="actions"><button class="small outline secondary" @click=${actions.hide}>Hide</button>
      <button class="small outline danger" @click=${actions.revoke}>End all codes now</button></p>
  </article>`;

/** What stands where no machine has joined yet. */
export const noMachineYet = () => html`
  <article class="welcome">
    <h3>No machine has joined yet</h3>
    <p>A node is a machine with <code>stt</code> on it that works for you over the network. It
      needs this address and a join code, nothing else: no access to the database.
      “Join a machine” makes a code, and shows the commands to type there.</p>
  </article>`;

const steps = (command) => html`
  <ol>
    <li>Install <code>stt</code> on the machine, with Python 3.11 or newer:
      ${copyable(INSTALL)}
      <small>From a checkout: <code>pip install ".[node,server]"</code>. Where a whisper server runs
        already, <code>node</code> alone is enough.</small></li>
    <li>Register it, with a name that you will know it by:
      ${copyable(command)}</li>
    <li>Then let it work: it shows here at once.
      ${copyable("stt node start")}</li>
  </ol>`;

const registration = (url, code) =>
  `stt node register --server ${url} --name "My machine" --code ${code}`;

const isLoopback = () => ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
