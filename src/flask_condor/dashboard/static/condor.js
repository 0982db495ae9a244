// What a page does beside its links and forms: polls, themes, local times, keys and copies. All works without it, too.
"use strict";
(() => {
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const store = {
    get(key) { try { return localStorage.getItem(`condor-${key}`); } catch { return null; } },
    set(key, value) { try { localStorage.setItem(`condor-${key}`, value); } catch { /* not kept, then */ } },
  };
  const say = (text) => {
    const line = document.createElement("p");
    line.className = "banner done";
    line.textContent = text;
    $("#status").replaceChildren(line);
  };

  // Live: main asks for itself every few seconds, unless paused, hidden, or in use.
  let paused = store.get("paused") === "yes";
  let tag = null;
  const isInUse = () => {
    const at = document.activeElement;
    const typing = at && at.closest("#main") && at.matches("input, select, textarea");
    const selecting = $("#main input[form=selected]:checked") !== null;
    return typing || selecting || $("#main details.menu[open]") !== null || $("dialog[open]") !== null || String(getSelection()) !== "";
  };
  const poll = () => {
    const main = $("#main[data-live]");
    if (main && !paused && !document.hidden && !isInUse()) htmx.trigger(main, "condor:poll");
  };
  const restart = (() => {
    let timer;
    return () => {
      clearInterval(timer);
      const seconds = Math.min(60, Math.max(2, Number($("#main").dataset.poll) || 5));
      if (!paused) timer = setInterval(poll, seconds * 1000);
    };
  })();
  let known = new Set();
  const rowIds = () => $$("#main table[data-rows] tbody tr[id]").map((row) => row.id);
  const announce = () => {
    const count = rowIds().filter((id) => !known.has(id)).length;
    if (count) $("#news").textContent = `${count} new ${count === 1 ? "row" : "rows"}, ${shownTime(new Date()).slice(11)}`;
  };
  document.addEventListener("htmx:before:request", (event) => {
    const { request, sourceElement } = event.detail.ctx;
    if (sourceElement.id !== "main") return;
    if (document.hidden || paused) event.preventDefault();
    else if (tag) request.headers["If-None-Match"] = tag;
  });
  document.addEventListener("htmx:before:response", (event) => {
    const { response, sourceElement } = event.detail.ctx;
    const isOut = response.status === 401 || response.status === 403 || response.raw.redirected;
    if (isOut) { event.preventDefault(); setPaused(true, false); say("You are signed out: load the page anew."); }
    else if (response.status === 200) { tag = response.headers.get("ETag"); known = new Set(rowIds()); }
    else if (sourceElement.id !== "main") { event.preventDefault(); location.assign(sourceElement.href); }
    else if (response.status !== 304) { event.preventDefault(); say(`Live update failed (${response.status}); it is tried again.`); }
  });
  document.addEventListener("htmx:after:swap", () => {
    document.activeElement.closest("#main tbody tr")?.classList.add("at");
    announce();
    settle();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });

  const live = $("#live");
  const setPaused = (value, isKept = true) => {
    paused = value;
    if (isKept) store.set("paused", value ? "yes" : "no");
    live.setAttribute("aria-pressed", String(value));
    $(".word", live).textContent = value ? "Paused" : "Live";
    restart();
  };

  // Theme: system, light, dark.
  const themes = ["system", "light", "dark"];
  const setTheme = (name) => {
    store.set("theme", name);
    if (name === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    $("#theme .word").textContent = name[0].toUpperCase() + name.slice(1);
    drawCharts(true);
  };

  // Times: how long ago, kept up to date; in UTC or local on hover.
  let zone = store.get("zone") === "local" ? "local" : "utc";
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const span = (seconds) => {
    for (const [size, unit] of units) if (seconds >= size) return `${Math.floor(seconds / size).toLocaleString("en")} ${unit}`;
    return "0 s";
  };
  const shownTime = (at) => zone === "local"
    ? `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
    : at.toISOString().slice(0, 19).replace("T", " ");
  const two = (number) => String(number).padStart(2, "0");
  const tellTimes = () => {
    for (const time of $$("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      time.title = `${shownTime(at)} ${zone === "local" ? "local" : "UTC"}`;
      if (time.hasAttribute("data-exact")) { time.textContent = shownTime(at); continue; }
      const passed = (Date.now() - at) / 1000;
      time.textContent = Math.abs(passed) < 1 ? "now" : passed > 0 ? `${span(passed)} ago` : `in ${span(-passed)}`;
    }
  };
  const setZone = (name) => {
    zone = name;
    store.set("zone", name);
    $("#zone .word").textContent = name === "local" ? "Local" : "UTC";
    tellTimes();
  };

  // Copies, also where the page came over plain HTTP and there is no clipboard for it.
  const copy = async (text) => {
    try { await navigator.clipboard.writeText(text); } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    say("Copied.");
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy], [data-copy-link]");
    if (button) copy(button.hasAttribute("data-copy-link") ? location.href : $("code, pre, input", button.parentElement)?.textContent ?? "");
    for (const menu of $$("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });

  // Suggestions, for the second word, too: the browser compares each with all that is typed.
  const hints = $$("#search-hints option");
  const suggested = hints.map((hint) => hint.value);
  $("#search").addEventListener("input", ({ target }) => {
    const [others] = target.value.match(/^(?:(?:[^\s"]|"(?:[^"\\]|\\.)*")*\s+)*/);
    hints.forEach((hint, at) => { hint.value = others + suggested[at]; });
  });

  // Keys, which can be switched off.
  let before = "";
  const keysAreOn = () => store.get("keys") !== "off";
  const move = (step) => {
    const rows = $$("#main table[data-rows] tbody tr, #main tbody tr").filter((row) => $("a[href]", row));
    if (!rows.length) return;
    const at = rows.findIndex((row) => row.classList.contains("at"));
    const next = rows[Math.min(rows.length - 1, Math.max(0, at + step))];
    for (const row of rows) row.classList.toggle("at", row === next);
    $("a[href]", next).focus();
  };
  const acts = {
    "/": () => $("#search").focus(),
    "?": () => $("#help").showModal(),
    j: () => move(1), k: () => move(-1),
    p: () => setPaused(!paused),
    t: () => setTheme(themes[(themes.indexOf(store.get("theme") || "system") + 1) % 3]),
    z: () => setZone(zone === "utc" ? "local" : "utc"),
    n: () => $("[data-next]")?.click(),
    r: () => {
      const form = $(`#main ${$("#main tr.at") ? "tr.at " : ""}form[action*="/retry"]`);
      const confirmed = form?.closest("details.confirm");
      if (form) $(confirmed ? "summary" : "button", confirmed ?? form).focus();
    },
  };
  const escape = (from) => {
    const menus = $$("details.menu[open]");
    for (const menu of menus) { menu.open = false; $("summary", menu).focus(); }
    if (!menus.length && !from.closest("input, select, textarea, dialog")) $("[data-closes]")?.click();
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") escape(event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || !keysAreOn()) return;
    if (event.target.closest("input, select, textarea, [contenteditable], dialog")) return;
    if (before === "g") {
      before = "";
      const link = $(`.side a[data-key="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); link.click(); return; }
    }
    if (event.key === "g") { before = "g"; setTimeout(() => { before = ""; }, 1500); return; }
    if (acts[event.key]) { event.preventDefault(); acts[event.key](); }
  });

  // Charts: their data stand in an attribute, so that nothing of a page is a script.
  const charts = new Map();
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const drawCharts = (anew = false) => {
    if (typeof uPlot === "undefined") return;
    for (const [element, chart] of charts) {
      if (anew || !element.isConnected) { chart.plot.destroy(); charts.delete(element); }
    }
    for (const element of $$("[data-chart]")) {
      const known = charts.get(element);
      if (known?.text === element.dataset.chart) continue;
      known?.plot.destroy();
      const text = element.dataset.chart;
      charts.set(element, { text, plot: draw(element, JSON.parse(text)) });
    }
  };
  const draw = (element, { x, series, stacked, unit }) => {
    element.replaceChildren();
    const sums = x.map(() => 0);
    const shown = series.map((one) => one.values.map((value, i) => stacked ? (sums[i] += value ?? 0) : value));
    const order = stacked ? series.map((_, i) => i).reverse() : series.map((_, i) => i);
    const tell = (value) => value == null ? "–" : unit === "s" ? seconds(value) : value.toLocaleString("en").replaceAll(",", "\u202f");
    const axis = { stroke: colour("--ink-soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    const options = {
      width: element.clientWidth || 400, height: 200, padding: [8, 20, 0, 0],
      cursor: { drag: { x: true, y: false, setScale: false }, y: false },
      select: { show: true, left: 0, top: 0, width: 0, height: 0 },
      legend: { show: false },
      tzDate: (at) => zone === "local" ? new Date(at * 1000) : uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      scales: { x: { time: true }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
      axes: [{ ...axis, size: 30, values: (_, ticks) => ticks.map(tick) }, { ...axis, size: 64, values: (_, ticks) => ticks.map(tell) }],
      series: [{}, ...order.map((i) => ({
        stroke: colour(series[i].colour), width: 1.5, points: { show: true, size: 4, filter: (plot, at) => lonely(plot.data[at]) },
        fill: stacked ? colour(series[i].colour) : undefined,
      }))],
      hooks: { setSelect: [(plot) => zoom(plot)], setCursor: [({ cursor }) => point(cursor.idx)] },
    };
    const values = $$(".legend b", element.parentElement);
    const point = (at) => values.forEach((value, i) => {
      const shown = i < series.length ? series[i].values[at] : x[at];
      value.textContent = at == null ? "" : i < series.length ? tell(shown) : `from ${shownTime(new Date(shown * 1000)).slice(0, 16)}`;
    });
    return new uPlot(options, [x, ...order.map((i) => shown[i])], element);
  };
  const lonely = (values) => { // those of lines too short to be seen
    const isLine = (i) => [i, i + 1, i + 2].every((at) => values[at] != null);
    return [...values.keys()].filter((i) => values[i] != null && ![i - 2, i - 1, i].some(isLine));
  };
  const tick = (at) => {
    const shown = shownTime(new Date(at * 1000));
    return shown.slice(11, 16) === "00:00" ? shown.slice(5, 10) : shown.slice(11, 16);
  };
  const seconds = (value) => value >= 1 ? `${+value.toPrecision(3)} s` : value >= 1e-3 ? `${+(value * 1e3).toPrecision(3)} ms` : value > 0 ? `${+(value * 1e6).toPrecision(3)} µs` : "0 s";
  const zoom = (plot) => {
    if (plot.select.width < 8) return;
    const at = (left) => new Date(plot.posToVal(left, "x") * 1000).toISOString().slice(0, 19);
    const url = new URL(location.href);
    url.searchParams.delete("period");
    url.searchParams.set("since", at(plot.select.left));
    url.searchParams.set("until", at(plot.select.left + plot.select.width));
    location.href = url.href;
  };
  let resizing;
  addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(() => drawCharts(true), 150); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawCharts(true));

  const settle = () => {
    tellTimes();
    drawCharts();
    for (const hidden of $$("[data-copy][hidden], [data-copy-link][hidden]")) hidden.hidden = false;
  };
  const start = () => {
    for (const id of ["live", "theme", "zone", "help-button"]) $(`#${id}`).hidden = false;
    if (!$("#main[data-live]")) live.hidden = true;
    const here = $(".side [aria-current]");
    if (here) $(".side").scrollLeft = here.offsetLeft + (here.offsetWidth - innerWidth) / 2;
    live.addEventListener("click", () => setPaused(!paused));
    $("#theme").addEventListener("click", acts.t);
    $("#zone").addEventListener("click", acts.z);
    $("#help-button").addEventListener("click", acts["?"]);
    const keys = $("#keys");
    keys.checked = keysAreOn();
    keys.addEventListener("change", () => store.set("keys", keys.checked ? "on" : "off"));
    setPaused(paused);
    setTheme(themes.includes(store.get("theme")) ? store.get("theme") : "system");
    setZone(zone);
    setInterval(tellTimes, 1000);
    settle();
  };
  start();
})();
