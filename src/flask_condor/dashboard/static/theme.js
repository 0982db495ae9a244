// The theme, before the page is painted: light or dark when one was chosen here, else the system's.
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("condor-theme"); } catch { /* no storage: the system's */ }
  const root = document.documentElement;
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  root.classList.add("js");
})();
