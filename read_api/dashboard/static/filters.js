// The filter bar beyond links and forms: Alt-click excludes, Escape clears, and values come as one types.
"use strict";

(() => {
  const OPEN = "dialog[open], .menu.is-open, .add-filter[open], [data-stays-open][open], [data-escapes]:not([hidden])";
  const FIELDS = "input, select, textarea, [contenteditable]";

  // Before anybody else: whether something was open is known before it closes.
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.key !== "Escape" || event.defaultPrevented || event.isComposing) {
        return;
      }
      const adding = document.querySelector(".add-filter[open]");
      if (adding) {
        adding.open = false;
        adding.querySelector("summary").focus();
        return;
      }
      const clear = document.getElementById("clear-filters");
      if (clear && !document.querySelector(OPEN) && !event.target.closest?.(FIELDS)) {
        window.location.assign(clear.href);
      }
    },
    true,
  );

  document.addEventListener("click", (event) => {
    const value = event.target.closest("a[data-exclude]");
    if (value && event.altKey) {
      // Otherwise the browser downloads what the link leads to.
      event.preventDefault();
      window.location.assign(value.dataset.exclude);
    }
    const toggle = event.target.closest(".bar-toggle");
    if (toggle) {
      const isOpen = document.getElementById("filters").classList.toggle("is-open");
      toggle.setAttribute("aria-expanded", String(isOpen));
    }
    const adding = document.querySelector(".add-filter[open]");
    if (adding && !adding.contains(event.target)) {
      adding.open = false;
    }
  });

  // With the keyboard: Alt+Enter on a value excludes it, too.
  document.addEventListener("keydown", (event) => {
    const value = event.key === "Enter" && event.altKey && event.target.closest?.("a[data-exclude]");
    if (value) {
      event.preventDefault();
      window.location.assign(value.dataset.exclude);
    }
  });

  // What is ticked stays, whatever is searched for next.
  document.addEventListener("change", (event) => {
    if (event.target.matches("#filter-values [name=filter_value]") && event.target.checked) {
      const dimension = event.target.closest("fieldset").querySelector("legend").firstChild.textContent.trim();
      const label = event.target.closest("label");
      label.querySelector(".number").textContent = dimension;
      document.getElementById("filter-chosen").append(label);
      event.target.focus();
    }
  });

  // `toggle` does not bubble.
  document.addEventListener(
    "toggle",
    (event) => {
      if (event.target.matches?.(".add-filter") && event.target.open) {
        const text = document.getElementById("filter-text");
        text.closest("[hx-get]").dispatchEvent(new Event("filter-opened"));
        text.focus();
      }
    },
    true,
  );
})();
