// A bulk change goes on by itself while the page is open; without this its button does the same.
(() => {
  "use strict";
  document.querySelector("form[data-goes-on]")?.requestSubmit();
})();
