// The controls of a recording's player: play, jump, place, speed, channel.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { clock } from "./format.js";

const SPEEDS = [0.75, 1, 1.25, 1.5, 2];

/**
 * The row of a player's controls. `channels`: those to choose from. `move` is called while the place
 * is chosen, `seek` with the seconds once it is.
 */
export const playerControls = ({ player, channels, channel, toggle, jump, move, seek, hear }) => html`
  <button class="play" ?disabled=${!player.canPlay} @click=${toggle}
          aria-label=${player.isPlaying ? "Pause" : "Play"}>
    ${player.isPlaying ? "❚❚" : "►"}</button>
  <button class="small plain" ?disabled=${!player.canPlay} aria-label="−10 seconds"
          @click=${() => jump(-10)}>−10</button>
  <button class="small plain" ?disabled=${!player.canPlay} aria-label="+10 seconds"
          @click=${() => jump(10)}>+10</button>
  <input type="range" min="0" max=${Math.ceil(player.length) || 1} step="1" aria-label="Place"
         aria-valuetext=${`${clock(player.time)} of ${clock(player.length)}`}
         ?disabled=${!player.canPlay} .value=${String(Math.floor(player.time))}
         @input=${move} @change=${(event) => seek(Number(event.target.value))}>
  <span class="time">${clock(player.time)} / ${clock(player.length)}</span>
  <select aria-label="Speed" @change=${(event) => {
    player.speed = Number(event.target.value);
  }}>
    ${SPEEDS.map(
      (speed) => html`<option value=${speed} ?selected=${speed === 1}>${speed} ×</option>`,
    )}
  </select>
  ${
    channels.length > 1
      ? html`<select aria-label="Channel" @change=${(event) => hear(Number(event.target.value))}>
          ${channels.map(
            (each) =>
              html`<option value=${each} ?selected=${each === channel}>Channel ${each}</option>`,
          )}
        </select>`
      : nothing
  }
  ${player.error ? html`<small class="wrong" role="alert">${player.error}</small>` : nothing}`;
