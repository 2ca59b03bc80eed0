/* Names for what the theme makes after the page is there, and leaves without one: the bar of a code
   block, which is no place to navigate to, and the number of an annotation. */
(() => {
  "use strict";

  const name = () => {
    for (const bar of document.querySelectorAll("nav.md-code__nav:not([role])")) bar.setAttribute("role", "none");
    for (const index of document.querySelectorAll(".md-annotation__index:not([aria-label])")) {
      const number = index.querySelector("[data-md-annotation-id]")?.dataset.mdAnnotationId ?? "";
      index.setAttribute("aria-label", `설명 ${number}`.trim());
    }
  };

  new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
  name();
})();
