// Gives names to what stock admin scripts draw without one: people who listen to the page need them.
(() => {
  "use strict";

  const labelOf = (element) => element.closest("td[data-label]")?.dataset.label ??
    element.closest(".form-cell")?.querySelector(".form-cell__label")?.textContent.trim() ?? "Search";

  function name(scope) {
    for (const box of scope.querySelectorAll(".select2-selection[role=combobox]")) {
      box.removeAttribute("aria-labelledby");
      box.setAttribute("aria-label", `${labelOf(box)}: ${box.textContent.replace("×", "").trim() || "nothing chosen"}`);
    }
    for (const text of scope.querySelectorAll(".select2-selection__rendered[role=textbox]")) text.setAttribute("aria-label", labelOf(text));
    for (const input of scope.querySelectorAll(".select2-search__field:not([aria-label])")) input.setAttribute("aria-label", labelOf(input));
    for (const icon of scope.querySelectorAll(".search-label-icon:not([role])")) icon.setAttribute("role", "img");
  }

  // Cells that can be edited in the list: the column's name and the row's.
  function nameCells() {
    const table = document.querySelector("#result_list");
    if (!table) return;
    const columns = [...table.querySelectorAll("thead th")].map((th) => th.querySelector(".text")?.textContent.trim());
    for (const control of table.querySelectorAll("tbody :is(input:not([type=hidden]), select, textarea):not(.action-select)")) {
      const cell = control.closest("td, th");
      const row = cell.parentElement.querySelector("th")?.textContent.trim();
      control.setAttribute("aria-label", [columns[cell.cellIndex], row].filter(Boolean).join(", "));
    }
  }

  function start() {
    nameCells();
    name(document);
    document.addEventListener("formset:added", (event) => setTimeout(() => name(event.target)));
    window.django?.jQuery?.(document).on("select2:open select2:select select2:unselect select2:clear", () => setTimeout(() => name(document)));
  }

  // The two-list chooser is built this late.
  window.addEventListener("load", () => setTimeout(() => name(document)));
  // After the stock scripts: they queue at jQuery before this one does.
  if (window.django?.jQuery) window.django.jQuery(() => setTimeout(start));
  else start();
})();
