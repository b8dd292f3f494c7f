// Improves pages that already work: everything here has a plain link, form or <details> behind it.
// Handlers hang on the document, so that parts swapped in by htmx need no set-up.
(() => {
  "use strict";

  const root = document.documentElement;
  const on = (type, selector, handle, options) =>
    document.addEventListener(type, (event) => {
      const target = event.target instanceof Element ? event.target.closest(selector) : null;
      if (target) handle(event, target);
    }, options);
  const isTyping = (element) => element.matches("input, textarea, select, [contenteditable]");

  // Theme: system, light, dark, and round again -------------------------------------------------------------------

  const THEMES = ["system", "light", "dark"];
  const theme = () => root.dataset.theme || "system";
  const nextTheme = () => THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];

  function nameTheme() {
    for (const word of document.querySelectorAll("[data-theme-word]")) {
      word.textContent = `Theme: ${theme()}. Change to ${nextTheme()}`;
      word.closest("button").title = word.textContent;
    }
  }

  on("click", "[data-theme-toggle]", () => {
    const chosen = nextTheme();
    if (chosen === "system") delete root.dataset.theme;
    else root.dataset.theme = chosen;
    try {
      if (chosen === "system") localStorage.removeItem("theme");
      else localStorage.setItem("theme", chosen);
    } catch {
      // Kept for this page only.
    }
    nameTheme();
  });

  // Toasts ------------------------------------------------------------------------------------------------------

  const WORDS = { success: "Done", info: "For your information", warning: "Please note", error: "Not done" };
  const SECONDS_SHOWN = 7;

  function dismiss(toast) {
    toast.classList.add("toast--leaving");
    setTimeout(() => toast.remove(), 220);
  }

  // Refusals and warnings stay until they are read; news leaves by itself unless it is being read.
  function dismissLater(toast) {
    if (toast.dataset.timed || toast.matches(".toast--error, .toast--warning")) return;
    toast.dataset.timed = "1";
    let timer;
    const start = () => { timer = setTimeout(() => dismiss(toast), SECONDS_SHOWN * 1000); };
    const stop = () => clearTimeout(timer);
    for (const type of ["mouseenter", "focusin"]) toast.addEventListener(type, stop);
    for (const type of ["mouseleave", "focusout"]) toast.addEventListener(type, start);
    start();
  }

  function showToast(level, text) {
    const box = document.querySelector("[data-toasts]");
    if (!box) return;
    const toast = document.createElement("div");
    toast.className = `toast toast--${level in WORDS ? level : "info"}`;
    toast.dataset.toast = "";
    toast.setAttribute("role", level === "error" ? "alert" : "status");
    const words = document.createElement("p");
    words.className = "toast__text";
    const word = document.createElement("span");
    word.className = "toast__word";
    word.textContent = WORDS[level] || WORDS.info;
    words.append(word, text);
    const close = document.createElement("button");
    close.type = "button";
    close.className = "toast__close";
    close.dataset.toastClose = "";
    close.setAttribute("aria-label", "Dismiss");
    close.textContent = "×";
    toast.append(words, close);
    box.append(toast);
    dismissLater(toast);
  }

  on("click", "[data-toast-close]", (_, button) => dismiss(button.closest("[data-toast]")));

  // Forms: one press, one send; nothing typed is lost by accident ---------------------------------------------------

  const guarded = () => document.querySelector("form[data-guard][data-dirty]");

  on("input", "form[data-guard]", (_, form) => { form.dataset.dirty = "1"; });
  window.addEventListener("beforeunload", (event) => { if (guarded()) event.preventDefault(); });

  on("submit", "form", (event, form) => {
    if (form.method !== "post" || form.target === "_blank" || form.hasAttribute("data-repeatable")) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    // After the other handlers: htmx sends such forms by itself and a cancelled submit was never sent.
    setTimeout(() => {
      if (event.defaultPrevented) return;
      form.dataset.sent = "1";
      delete form.dataset.dirty;
      const button = event.submitter;
      if (button?.matches("button")) button.setAttribute("aria-busy", "true");
    });
  });

  // A page that comes back from the browser's memory is ready to send again.
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
    for (const button of document.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
  });

  // Filters apply on change; without JavaScript their button does.
  on("change", "form[data-submit-on-change]", (_, form) => form.requestSubmit());

  // Rows of a Django formset: the empty row waits in a <template data-row-empty>; without JavaScript the buttons are
  // ordinary submits that the server answers with one row more or less.
  on("click", "[data-row-add]", (event, button) => {
    const box = button.closest("[data-rows]");
    const total = box?.querySelector("input[name$='-TOTAL_FORMS']");
    const empty = box?.querySelector("template[data-row-empty]");
    if (!total || !empty) return;
    event.preventDefault();
    const holder = document.createElement("template");
    holder.innerHTML = empty.innerHTML.replaceAll("__prefix__", total.value);
    const row = holder.content.firstElementChild;
    box.querySelector("[data-rows-body]").append(row);
    total.value = Number(total.value) + 1;
    row.querySelector("input:not([type=hidden]), select")?.focus();
    box.dispatchEvent(new Event("input", { bubbles: true }));
    window.htmx?.process(row);
  });

  on("click", "[data-row-remove]", (event, button) => {
    const row = button.closest("[data-row]");
    const box = button.closest("[data-rows]");
    if (!row || !box) return;
    event.preventDefault();
    const mark = row.querySelector("input[name$='-DELETE']");
    if (mark) {
      mark.checked = true;
      mark.value = "on";
      row.hidden = true;
    } else {
      row.remove();
    }
    (box.querySelector("[data-row-add]") || box).focus();
    box.dispatchEvent(new Event("input", { bubbles: true }));
  });

  // "Select all" of a list's own page; the count follows.
  on("change", "[data-check-all], [data-check]", (_, box) => {
    const scope = box.closest("form, table") || document;
    const boxes = [...scope.querySelectorAll("[data-check]")];
    if (box.matches("[data-check-all]")) for (const one of boxes) one.checked = box.checked;
    const chosen = boxes.filter((one) => one.checked).length;
    for (const all of scope.querySelectorAll("[data-check-all]")) {
      all.checked = chosen > 0 && chosen === boxes.length;
      all.indeterminate = chosen > 0 && chosen < boxes.length;
    }
    for (const count of scope.querySelectorAll("[data-check-count]")) count.textContent = chosen;
  });

  // Dialogs: a link to the page that does the same, opened in place ------------------------------------------------

  on("click", "[data-open-dialog]", (event, opener) => {
    const dialog = document.getElementById(opener.dataset.openDialog);
    if (!dialog?.showModal) return;
    event.preventDefault();
    dialog.showModal();
  });
  on("click", "[data-close-dialog]", (event, closer) => {
    const dialog = closer.closest("dialog");
    if (!dialog) return;
    event.preventDefault();
    dialog.close();
  });
  // A press on the shade closes, unless something was typed.
  on("mousedown", "dialog.dialog", (event, dialog) => {
    if (event.target === dialog && !dialog.querySelector("form[data-dirty]")) dialog.close();
  });

  // Menus that are <details> close when one looks elsewhere.
  document.addEventListener("click", (event) => {
    for (const open of document.querySelectorAll("details[data-menu][open]")) {
      if (!open.contains(event.target)) open.open = false;
    }
  });

  // Suggestions: an input[role=combobox] whose list the server fills -----------------------------------------------

  const listOf = (input) => document.getElementById(input.getAttribute("aria-controls"));
  const optionsOf = (list) => [...list.querySelectorAll("[role=option]")];

  function openList(input, open) {
    const list = listOf(input);
    if (!list) return;
    list.hidden = !open || !list.childElementCount;
    input.setAttribute("aria-expanded", String(!list.hidden));
    if (list.hidden) input.removeAttribute("aria-activedescendant");
  }

  function pointAt(input, option) {
    for (const one of optionsOf(listOf(input))) one.setAttribute("aria-selected", String(one === option));
    if (!option) return;
    input.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  }

  function take(input, option) {
    const combo = input.closest("[data-combo]");
    const value = combo.querySelector("[data-combo-value]");
    input.value = option.dataset.text || option.textContent.trim();
    openList(input, false);
    if (option.dataset.href) {
      window.location.assign(option.dataset.href);
      return;
    }
    if (!value) return;
    value.value = option.dataset.value;
    value.dispatchEvent(new Event("change", { bubbles: true }));
    value.dispatchEvent(new Event("input", { bubbles: true }));
  }

  on("keydown", "[role=combobox]", (event, input) => {
    const list = listOf(input);
    if (!list) return;
    const options = optionsOf(list);
    const current = options.findIndex((one) => one.getAttribute("aria-selected") === "true");
    if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      openList(input, false);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (!options.length) return;
      event.preventDefault();
      openList(input, true);
      const step = event.key === "ArrowDown" ? 1 : current < 0 ? 0 : -1;
      pointAt(input, options[(current + step + options.length) % options.length]);
    } else if (event.key === "Enter" && !list.hidden && current >= 0) {
      event.preventDefault();
      take(input, options[current]);
    }
  });
  on("mousedown", "[data-combo] [role=option]", (event, option) => {
    event.preventDefault();
    take(option.closest("[data-combo]").querySelector("[role=combobox]"), option);
  });
  on("focusout", "[role=combobox]", (_, input) => openList(input, false));
  // Other words than the chosen ones are not the chosen thing.
  on("input", "[data-combo] [role=combobox]", (_, input) => {
    const value = input.closest("[data-combo]").querySelector("[data-combo-value]");
    if (value) value.value = "";
  });

  // Small comforts -----------------------------------------------------------------------------------------------------

  on("click", "[data-copy]", async (_, button) => {
    const text = button.closest(".code")?.querySelector("code")?.textContent ?? "";
    const word = button.querySelector("[data-copy-word]") || button;
    try {
      await navigator.clipboard.writeText(text);
      word.textContent = "Copied";
    } catch {
      word.textContent = "Select and copy by hand";
    }
    setTimeout(() => { word.textContent = "Copy"; }, 2000);
  });

  on("click", "[data-print]", () => window.print());

  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const search = document.querySelector("main [data-search], main input[type=search], #searchbar");
    if (!search) return;
    event.preventDefault();
    search.focus();
    search.select();
  });

  // htmx ---------------------------------------------------------------------------------------------------------------

  let focusBefore = null;

  document.addEventListener("htmx:beforeRequest", (event) => {
    const button = event.detail.requestConfig?.triggeringEvent?.submitter || event.detail.elt;
    if (button instanceof Element && button.matches("button")) button.setAttribute("aria-busy", "true");
  });
  document.addEventListener("htmx:afterRequest", () => {
    for (const button of document.querySelectorAll("button[aria-busy]:not(form[data-sent] button)")) button.removeAttribute("aria-busy");
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    // A refused form is answered with 422 and the form again: show it.
    if (event.detail.xhr.status === 422) {
      event.detail.shouldSwap = true;
      event.detail.isError = false;
    }
    // The sign-in has ended: its page is not a part of this one.
    if (new URL(event.detail.xhr.responseURL || location.href).pathname === "/login/") {
      event.detail.shouldSwap = false;
      // Not over what somebody has typed: the line of the autosave says it there.
      if (!guarded()) location.reload();
      return;
    }
    const active = document.activeElement;
    focusBefore = active && active !== document.body ? { id: active.id, name: active.getAttribute("name") } : null;
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    for (const toast of document.querySelectorAll("[data-toast]")) dismissLater(toast);
    const input = event.target.closest?.("[data-combo]")?.querySelector("[role=combobox]");
    if (input && input === document.activeElement) {
      openList(input, true);
      return;
    }
    // htmx keeps the focus of elements with an id; where the pressed thing was replaced without one, find its heir.
    if (document.activeElement === document.body && focusBefore) {
      const heir = (focusBefore.id && document.getElementById(focusBefore.id)) ||
        (focusBefore.name && document.querySelector(`[name="${CSS.escape(focusBefore.name)}"]`));
      heir?.focus({ preventScroll: true });
    }
    event.target.querySelector?.("[data-focus-first]")?.focus();
  });
  // What asks again by itself, every few seconds, keeps its troubles to itself: the next answer sets it right.
  const asksByItself = (event) => event.detail.elt?.matches?.("[data-quiet]");
  document.addEventListener("htmx:responseError", (event) => {
    if (asksByItself(event)) return;
    const { status } = event.detail.xhr;
    if (status === 401 || status === 403) showToast("error", "You may not do this, or your sign-in has ended. Reload the page to see.");
    else if (status === 404) showToast("error", "This is not here any more. Reload the page to see what is.");
    else if (status === 409) showToast("error", "Somebody else changed this in the meantime. Reload the page to see it.");
    else if (status === 429) showToast("warning", "That was too often. Wait a moment and try again.");
    else showToast("error", "Something went wrong on our side. Nothing you typed is lost; try again.");
  });
  document.addEventListener("htmx:sendError", (event) => asksByItself(event) || showToast("error", "The server could not be reached. Nothing you typed is lost; try again."));
  document.addEventListener("htmx:timeout", () => showToast("error", "No answer came in time. Reload the page to see whether it was done."));
  // A view says HX-Trigger: {"toast": {"level": "success", "text": "Saved."}}.
  document.addEventListener("toast", (event) => showToast(event.detail.level, event.detail.text));

  // Start --------------------------------------------------------------------------------------------------------------

  nameTheme();
  for (const toast of document.querySelectorAll("[data-toast]")) dismissLater(toast);
  document.querySelector("[data-focus-first]")?.focus();
})();
