// One tab stop for a long list: Tab leads into it and out again, arrow keys from item to item.

const STEPS = {
  ArrowDown: 1,
  ArrowUp: -1,
  PageDown: 10,
  PageUp: -10,
  Home: -Infinity,
  End: Infinity,
};

/**
 * Return the tab stop of a list whose items match `selector` and are drawn with tabindex="-1".
 *
 * The list needs `onKey` and `onFocus` as its `keydown` and `focusin`, and `keep(list)` after each
 * redraw.
 */
export function tabStop(selector) {
  let stop = null;

  /** Let Tab lead to this item. */
  const set = (item) => {
    if (stop) stop.tabIndex = -1;
    stop = item;
    if (stop) stop.tabIndex = 0;
  };
  return {
    set,
    keep: (list) => {
      if (!stop?.isConnected) set(list?.querySelector(selector) ?? null);
    },
    onFocus: (event) => {
      const item = event.target.closest(selector);
      if (item) set(item);
    },
    onKey: (event) => {
      const isModified = event.shiftKey || event.ctrlKey || event.altKey || event.metaKey;
      // A key within an item is the item's.
      if (!(event.key in STEPS) || isModified || !event.target.matches(selector)) return;
      const items = [...event.currentTarget.querySelectorAll(selector)];
      const to = items.indexOf(event.target) + STEPS[event.key];
      event.preventDefault();
      items[Math.min(Math.max(to, 0), items.length - 1)].focus();
    },
  };
}
