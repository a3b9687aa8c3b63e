// Lists that are loaded in pages: the next one comes when the end of the list is seen.

/**
 * Call `more` whenever the element with the id "end" comes into sight and `hasMore` says so, one
 * call at a time.
 */
export function atTheEnd({ hasMore, more, signal }) {
  let isBusy = false;
  const observer = new IntersectionObserver(
    async ([entry]) => {
      if (!entry.isIntersecting || isBusy || !hasMore()) return;
      isBusy = true;
      await more();
      isBusy = false;
    },
    { rootMargin: "600px" },
  );
  const observe = () => {
    const end = document.querySelector("#end");
    observer.disconnect();
    if (end) observer.observe(end);
  };
  const changes = new MutationObserver(observe);
  changes.observe(document.querySelector(".page"), { childList: true, subtree: true });
  signal.addEventListener("abort", () => {
    observer.disconnect();
    changes.disconnect();
  });
  observe();
}
