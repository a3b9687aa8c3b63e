// What has the focus keeps it when a page is drawn anew; if it is gone, its successor gets it.

const FOCUSABLE = ":is(a[href], button, input, select, textarea, summary, .line):not([disabled], [hidden])";

/**
 * Run `redraw`, which draws within `root`.
 *
 * If that takes the focus away, it goes to what stands in the same place now, as to the same button
 * of the next row, else to what can have it nearby, else to the page.
 */
export function keepFocus(root, redraw) {
  const active = document.activeElement;
  const places = root.contains(active) ? placesOf(active, root) : [];
  redraw();
  if (!places.length || (document.activeElement === active && !active.disabled)) return;
  if (active.isConnected && !active.disabled) return active.focus({ preventScroll: true });
  (successor(places) ?? document.querySelector("#page")).focus({ preventScroll: true });
}

/** The ancestors of an element up to `root`, innermost first, each with its child's index. */
function placesOf(element, root) {
  const places = [];
  for (let child = element; child !== root; child = child.parentElement) {
    const { parentElement: parent } = child;
    places.push({ parent, index: [...parent.children].indexOf(child) });
  }
  return places;
}

function successor(places) {
  for (const [depth, { parent, index }] of places.entries()) {
    const near = parent.isConnected && parent.children[Math.min(index, parent.children.length - 1)];
    if (!near) continue;
    let same = near;
    for (const inner of places.slice(0, depth).reverse()) same = same?.children[inner.index];
    const found = same?.matches(FOCUSABLE) ? same : near.querySelector(FOCUSABLE);
    if (found) return found;
  }
  return null;
}
