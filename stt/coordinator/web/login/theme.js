// Runs before anything is drawn, so that a page never flashes in the other colours.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("stt-theme");
  } catch {
    // A browser that forbids storage follows the system.
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
