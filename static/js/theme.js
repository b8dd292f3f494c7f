// Runs before the first paint: the reader's theme, and the mark that scripts work.
(() => {
  const root = document.documentElement;
  root.classList.add("has-js");
  let theme = null;
  try {
    theme = localStorage.getItem("theme");
  } catch {
    // A browser that forbids storage follows the system.
  }
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
})();
