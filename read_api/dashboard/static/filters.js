// The filter bar beyond links and forms: Alt-click excludes, Escape clears, values come as one types,
// and what is typed applies when it is whole.
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

  // In a form that applies on change, typed dates wait: on the way to 2026 the year 2 is a date, too, and browsers say
  // so. They apply on Enter, and when the form's dates are left; one of the calendar applies at once.
  const APPLIES = 'form[hx-trigger*="change"]';
  const TYPED = `${APPLIES} input:not([type=hidden], [type=checkbox], [type=radio])`;
  const DATE = `${APPLIES} input[type=date]`;
  const applied = new WeakMap();
  let typing = null;
  let kept = null;

  const isWaiting = (field) => field.value !== (applied.get(field) ?? field.defaultValue) && !field.validity.badInput;
  const fieldsOf = (form) => [...form.querySelectorAll(TYPED)];
  const apply = (form) => fieldsOf(form).find(isWaiting)?.dispatchEvent(new Event("change", { bubbles: true }));

  document.addEventListener(
    "keydown",
    (event) => {
      const field = event.target.matches?.(DATE) ? event.target : null;
      if (!field) {
        return;
      }
      if (event.key === "Enter") {
        // A form of several fields without a button is not sent by it.
        if (fieldsOf(field.form).some(isWaiting)) {
          event.preventDefault();
          apply(field.form);
        }
      } else if ([" ", "F4"].includes(event.key) || event.altKey) {
        // These open the calendar.
        typing = null;
      } else if (event.key.length === 1 || /^(Arrow|Page|Home|End|Backspace|Delete)/.test(event.key)) {
        typing = field;
      }
    },
    true,
  );
  document.addEventListener("pointerdown", () => (typing = null), true);

  document.addEventListener(
    "change",
    (event) => {
      if (event.isTrusted && event.target === typing) {
        event.stopImmediatePropagation();
        return;
      }
      const form = event.target.closest?.(APPLIES);
      for (const field of form ? fieldsOf(form) : []) {
        applied.set(field, field.value);
      }
    },
    true,
  );

  document.addEventListener("focusout", (event) => {
    const field = event.target;
    // Still the active one: the window is left, or the page is swapped.
    if (!field.matches?.(TYPED) || document.activeElement === field || kept) {
      return;
    }
    typing = null;
    const next = event.relatedTarget;
    const isBetweenDates = field.matches(DATE) && next?.matches?.(DATE) && next.form === field.form;
    if (!isBetweenDates) {
      apply(field.form);
    }
  });

  // A page that comes while one types has the field anew: what is in it stays. Of a date that is half written only the
  // browser knows the digits, so that field itself goes over to the new page, with its focus.
  document.addEventListener("htmx:before:swap", (event) => {
    const field = document.activeElement;
    if (!event.target.matches?.(APPLIES) || !field?.id || !field.matches(TYPED)) {
      return;
    }
    if (field === typing && document.body.moveBefore) {
      kept = { id: field.id, field };
      document.body.moveBefore(field, null);
    } else if (isWaiting(field)) {
      kept = { id: field.id, value: field.value, at: field.selectionStart };
    }
  });
  document.addEventListener("htmx:after:swap", () => {
    if (kept?.field) {
      goOver(kept.field);
    } else if (kept) {
      writeAgain(kept);
    }
    kept = null;
  });

  function goOver(field) {
    const fresh = [...document.querySelectorAll(`#${CSS.escape(field.id)}`)].find((each) => each !== field);
    if (fresh) {
      applied.set(field, fresh.defaultValue);
      fresh.parentNode.moveBefore(field, fresh);
      fresh.remove();
    } else {
      field.remove();
    }
  }

  function writeAgain({ id, value, at }) {
    const field = document.getElementById(id);
    if (field) {
      field.value = value;
      field.focus({ preventScroll: true });
      if (at !== null) {
        field.setSelectionRange(at, at);
      }
    }
  }

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
