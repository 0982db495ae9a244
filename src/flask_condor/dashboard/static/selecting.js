// Selecting rows: all of a page at once, and how many they are. Each row's box does without it.
"use strict";
(() => {
  const all = () => document.querySelector("[data-all]");
  const boxes = () => [...document.querySelectorAll("input[form=selected][name]")];
  const settle = () => {
    if (!all()) return;
    const count = boxes().filter((box) => box.checked).length;
    all().hidden = false;
    all().checked = count > 0 && count === boxes().length;
    all().indeterminate = count > 0 && !all().checked;
    document.querySelector("[data-selected]").textContent = `With the ${count || ""} selected`.replace("  ", " ");
  };
  document.addEventListener("change", ({ target }) => {
    if (target === all()) for (const box of boxes()) box.checked = target.checked;
    settle();
  });
  document.addEventListener("htmx:after:swap", settle);
  addEventListener("pageshow", settle);
  settle();
})();
