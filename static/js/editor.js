// Improves the deal editor, which works without: marks changed prices while one types, resets them in place, and
// keeps what is typed while htmx redraws the form.
(() => {
  "use strict";

  const form = document.querySelector("form[data-editor]");
  if (!form) return;

  // As the server compares: spaces around a number and zeros at its end say nothing.
  const plain = (text) => {
    const found = /^(-?)0*(\d+?)(?:\.(\d*?)0*)?$/.exec(text.trim());
    return found && found[2] + (found[3] || "") ? `${found[1]}${found[2]}${found[3] ? `.${found[3]}` : ""}` : text.trim();
  };

  function mark(cell) {
    const input = cell.querySelector("input, select, textarea");
    const note = cell.querySelector(".cell__note");
    if (!input || !note) return;
    note.hidden = plain(input.value) === plain(cell.dataset.cell);
    const help = document.getElementById(`${input.id}_help`);
    const described = [help?.id, note.hidden ? "" : note.id, cell.querySelector(".field__error")?.id].filter(Boolean);
    if (described.length) input.setAttribute("aria-describedby", described.join(" "));
    else input.removeAttribute("aria-describedby");
  }

  form.addEventListener("input", (event) => {
    // A duration the other way is of the text before.
    event.target.closest(".cell")?.querySelector(".cell__aside")?.remove();
    const cell = event.target.closest("[data-cell]");
    if (cell) mark(cell);
  });

  // Rows of a spreadsheet go where they are pasted: the server takes them from the box below the table.
  form.addEventListener("paste", (event) => {
    const table = event.target.closest("table[data-slabs]");
    const text = (event.clipboardData?.getData("text/plain") || "").replace(/[\r\n]+$/, "");
    if (!table || !event.target.matches("input") || !/[\t\n]/.test(text)) return;
    const box = form.elements[`paste/${table.dataset.slabs}`];
    event.preventDefault();
    box.value = text;
    form.elements[`paste_at/${table.dataset.slabs}`].value = event.target.name;
    box.closest("details").querySelector("button").click();
  });

  // Before htmx sees the press: a cell is reset where it stands.
  form.addEventListener("click", (event) => {
    const button = event.target.closest("[data-cell-reset]");
    const cell = button?.closest("[data-cell]");
    const input = cell?.querySelector("input");
    if (!input) return;
    event.preventDefault();
    event.stopPropagation();
    input.value = cell.dataset.cell;
    input.removeAttribute("aria-invalid");
    cell.querySelector(".field__error")?.remove();
    input.focus();
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }, true);

  // Once the form is on its way nobody asks what it would cost: the draft may be none any more by then.
  form.addEventListener("submit", () => window.htmx.trigger("#estimate", "htmx:abort"));
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (form.dataset.sent && event.detail.elt.id === "estimate") event.preventDefault();
  });

  // What was typed while an answer was on its way is newer than the answer: ask again with it.
  let typed = 0;
  let askedAt = 0;
  let opened = [];
  form.addEventListener("input", () => { typed += 1; });
  const redraws = (event) => event.detail.target?.id === "editor";
  document.addEventListener("htmx:beforeRequest", (event) => { if (redraws(event)) askedAt = typed; });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!redraws(event) || !event.detail.shouldSwap) return;
    if (typed !== askedAt) {
      event.detail.shouldSwap = false;
      const again = event.detail.requestConfig.elt;
      window.htmx.trigger(again, again.matches("button") ? "click" : "change");
      return;
    }
    opened = [...form.querySelectorAll("details[id][open]")].map((details) => details.id);
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target?.id !== "editor" && event.target.id !== "editor") return;
    for (const id of opened) {
      const details = document.getElementById(id);
      if (details) details.open = true;
    }
    // Another type or plan is unsaved work, too.
    form.dataset.dirty = "1";
  });

  // The estimate and the other volumes are drawn anew while one types: what was unfolded there stays so.
  const drawnAnew = (event) => ["estimate", "curves"].includes(event.detail.target?.id);
  let unfolded = [];
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (drawnAnew(event)) unfolded = [...event.detail.target.querySelectorAll("details[id][open]")].map((details) => details.id);
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (!drawnAnew(event)) return;
    for (const id of unfolded) {
      const details = document.getElementById(id);
      if (details) details.open = true;
    }
  });
  // What is folded up is not worked out.
  document.addEventListener("htmx:beforeRequest", (event) => {
    const asks = event.detail.elt;
    if (asks.id === "curves" && (form.dataset.sent || !asks.closest("details").open)) event.preventDefault();
  });
})();
