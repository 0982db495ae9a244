// The side panel: a click on an event morphs in this very page with another ?panel=, which then stands in the URL, too.
"use strict";
(() => {
  document.addEventListener("click", (event) => {
    const isForAnotherTab = event.ctrlKey || event.metaKey || event.shiftKey;
    if (isForAnotherTab && event.target.closest("[data-panel]")) event.stopPropagation(); // htmx 4.0.1 would open none
  }, true);
  document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
    if (ctx.sourceElement.matches("[data-panel], [data-closes]")) ctx.turnedBy = ctx.sourceElement;
  });
  document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
    if (!ctx.turnedBy) return;
    history.replaceState(history.state, "", ctx.request.action);
    const panel = document.getElementById("panel");
    panel?.scrollTo(0, 0);
    (panel ?? rowOf(ctx.turnedBy.dataset.closes) ?? document.getElementById("main")).focus({ preventScroll: true });
  });
  const rowOf = (id) => [...document.querySelectorAll("[data-panel]")].find((link) => link.dataset.panel === id);
})();
