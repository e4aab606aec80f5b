// A click on a figure opens the rows that it is made of, in a panel beside the page. The panel has an address of
// its own: Back closes it, and wherever it is opened it shows the page with its panel; without this script it is
// a page. In tables one figure takes Tab, and arrow keys lead to the others: a page may have a thousand of them.
"use strict";

(() => {
  const HREF = /^\/app\/projects\/[^/]+\/receipt\?/;
  let panel;
  let opener;
  let under = "";
  let closedAt = -Infinity;

  const here = () => location.pathname + location.search;
  const isReceipt = (address) => HREF.test(address);

  function made() {
    panel = document.createElement("dialog");
    panel.className = "receipt-panel";
    panel.setAttribute("aria-labelledby", "receipt-title");
    const bar = document.createElement("div");
    bar.className = "receipt-bar";
    const close = document.createElement("button");
    close.type = "button";
    close.className = "button quiet";
    close.textContent = "Close";
    close.addEventListener("click", () => panel.close());
    bar.append(close);
    panel.append(bar);
    // Escape closes it too; whatever did, its address is left.
    panel.addEventListener("close", () => {
      panel.querySelector(".receipt")?.remove();
      if (history.state?.receipt) {
        history.back();
      }
    });
    panel.addEventListener("click", (event) => {
      if (event.target === panel) {
        panel.close();
      }
    });
    document.body.append(panel);
  }

  function left() {
    closedAt = performance.now();
    panel.close();
    const isThere = opener?.isConnected ? opener : document.getElementById("main");
    const focused = () => isThere?.focus({ preventScroll: true });
    focused();
    // htmx takes part in going back, and the browser then takes the focus away at the end.
    globalThis.navigation?.transition?.finished.then(focused, focused);
  }

  // The page below the project, for the way back: `attribution?dates=all`.
  const pageOf = (address) => address.replace(/^\/app\/projects\/[^/]+\//, "");

  const pageUnder = (address) => address.match(/^\/app\/projects\/[^/]+\//)[0] + new URL(address, location).searchParams.get("page");

  async function show(address, keep) {
    let found;
    try {
      const answer = await fetch(address, { headers: { Accept: "text/html" } });
      found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("receipt");
    } catch {
      found = null;
    }
    if (!found) {
      // A refusal, or a session that ended: the page itself says what is wrong.
      location.assign(address);
      return;
    }
    if (!panel?.isConnected) {
      made();
    }
    panel.querySelector(".receipt")?.remove();
    panel.append(document.adoptNode(found));
    panel.scrollTop = 0;
    if (!panel.open) {
      panel.showModal();
    }
    keep?.(address);
  }

  function open(href, from) {
    opener = from;
    under = here();
    const address = `${href}&page=${encodeURIComponent(pageOf(under))}`;
    show(address, () => history.pushState({ receipt: address }, "", address));
  }

  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) {
      return;
    }
    const within = event.target.closest?.(".receipt-panel a[data-receipt]");
    if (within) {
      event.preventDefault();
      show(within.getAttribute("href"), (address) => history.replaceState({ receipt: address }, "", address));
      return;
    }
    // Whoever goes on from the panel comes back to the page under it, and finds the panel open.
    const leading = event.target.closest?.(".receipt-panel a[href]:not([download])");
    if (leading && history.state?.receipt) {
      history.replaceState(history.state, "", pageUnder(history.state.receipt));
      return;
    }
    const figure = event.target.closest?.("a.figure");
    if (figure && !figure.closest(".receipt")) {
      event.preventDefault();
      open(figure.getAttribute("href"), figure);
    }
  });

  window.addEventListener("popstate", () => {
    const address = history.state?.receipt;
    if (panel && !address && (panel.open || here() === under)) {
      left();
    } else if (address && isReceipt(here()) && document.getElementById("page") && !document.querySelector("main .receipt")) {
      show(address);
    } else if (!isReceipt(here()) && document.querySelector("main .receipt")) {
      // The panel's address was loaded as a page, and Back leads to the page that it lay on.
      location.reload();
    }
  });

  function reopen() {
    const address = history.state?.receipt;
    if (address && !isReceipt(here())) {
      under = here();
      const named = () => history.replaceState({ receipt: address }, "", address);
      panel?.open ? named() : show(address, named);
    }
  }

  // A panel's address that is loaded as a page: below it comes the page that it lay on, to which Back leads.
  function putUnder() {
    const page = isReceipt(here()) && document.querySelector("main a[data-lay-on]");
    if (!page) {
      return false;
    }
    const state = { receipt: here() };
    if (!history.state?.receipt) {
      history.replaceState(null, "", page.href);
      history.pushState(state, "", page.href);
    } else {
      history.replaceState(state, "", page.href);
    }
    location.reload();
    return true;
  }
  document.addEventListener("DOMContentLoaded", () => putUnder() || reopen());
  window.addEventListener("pageshow", (event) => event.persisted && reopen());

  // What lies below the panel never went away.
  document.addEventListener("htmx:before:history:restore", (event) => {
    if (isReceipt(here()) || (performance.now() - closedAt < 1000 && here() === under)) {
      event.preventDefault();
    }
  });

  // Figures of a table: the first one takes Tab.
  function rove() {
    for (const table of document.querySelectorAll("main table")) {
      const links = table.querySelectorAll("a.figure");
      links.forEach((link, index) => {
        link.tabIndex = index ? -1 : 0;
      });
      if (links.length > 1) {
        links[0].setAttribute("aria-description", "Arrow keys lead to the other figures of this table.");
      }
    }
  }

  function next(link, key) {
    const links = [...link.closest("table").querySelectorAll("a.figure")];
    const at = links.indexOf(link);
    if (key === "ArrowRight" || key === "ArrowLeft") {
      return links[at + (key === "ArrowRight" ? 1 : -1)];
    }
    if (key === "Home" || key === "End") {
      return links.at(key === "Home" ? 0 : -1);
    }
    const column = (each) => each.closest("td, th").cellIndex;
    const row = (each) => each.closest("tr");
    const below = key === "ArrowDown" ? links.slice(at + 1) : links.slice(0, at).reverse();
    return below.find((each) => row(each) !== row(link) && column(each) === column(link));
  }

  document.addEventListener("keydown", (event) => {
    const isPlain = !(event.ctrlKey || event.metaKey || event.altKey || event.shiftKey);
    const isArrow = /^(Arrow(Up|Down|Left|Right)|Home|End)$/.test(event.key);
    const link = isPlain && isArrow ? event.target.closest?.("main table a.figure") : null;
    const found = link && next(link, event.key);
    if (found) {
      event.preventDefault();
      link.tabIndex = -1;
      found.tabIndex = 0;
      found.focus();
    }
  });

  // A click on a bar or on a line's point opens what it is made of.
  function addressOf(source) {
    const words = new URLSearchParams();
    for (const begin of ["", "more-", "over-", "over-more-"]) {
      if (`${begin}mart` in source) {
        words.append(`${begin}mart`, source[`${begin}mart`]);
        words.append(`${begin}column`, source[`${begin}column`]);
        for (const [name, value] of new URLSearchParams(source[`${begin}filter`])) {
          words.append(begin + name, value);
        }
      }
    }
    return `${location.pathname.match(/^\/app\/projects\/[^/]+\//)[0]}receipt?${words}`;
  }

  const isPublished = (source) => /^(reporting\.)?((fct|rpt|dim)_|conversion_paths$)/.test(source?.mart ?? "") && !("but" in source);

  function sourceAt(element, event) {
    const chart = globalThis.echarts?.getInstanceByDom(element);
    const spec = JSON.parse(document.getElementById(element.dataset.chart)?.textContent ?? "{}");
    const box = element.getBoundingClientRect();
    const point = [event.clientX - box.left, event.clientY - box.top];
    if (!chart || !spec.series?.length || !chart.containPixel("grid", point)) {
      return null;
    }
    const at = chart.convertFromPixel({ seriesIndex: 0 }, point);
    const category = Math.round(at[spec.horizontal ? 1 : 0]);
    // Of several series, the one that is clicked says its name; a line is hit by its day alone.
    const named = spec.series.find((each) => each.name === clicked.get(element));
    return (spec.series.length > 1 ? named : spec.series[0])?.sources?.[category];
  }

  const clicked = new WeakMap();
  document.addEventListener("pointerover", (event) => {
    const element = event.target.closest?.("[data-chart]");
    const chart = element && globalThis.echarts?.getInstanceByDom(element);
    if (chart && !clicked.has(element)) {
      clicked.set(element, "");
      chart.on("mouseover", (point) => clicked.set(element, point.seriesName ?? ""));
      chart.on("globalout", () => clicked.set(element, ""));
    }
  });

  document.addEventListener("click", (event) => {
    const element = event.target.closest?.("[data-chart]");
    const source = element && sourceAt(element, event);
    if (isPublished(source)) {
      open(addressOf(source), document.activeElement);
    }
  });

  document.addEventListener("DOMContentLoaded", rove);
  document.addEventListener("htmx:after:swap", rove);
})();
