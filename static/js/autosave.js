// Saves the draft while one types, through the same form and address as "Save draft", and says so in one line (G-06).
// Nothing is drawn again: the answer is that line, with the draft's new version and, the first time, its address.
// Without this file the page works as it is: its buttons save.
(() => {
  "use strict";

  const form = document.querySelector("form[data-autosave]");
  const line = document.getElementById("autosave");
  if (!form || !line) return;

  const PAUSE = 2000; // after the last keystroke
  const LONGEST = 4000; // after the first one that is not saved: with the way to the server less than five seconds
  const PATIENCE = 20000; // for an answer
  const LONGEST_WAIT = 30000; // between two tries

  let timer = null; // of the next save
  let since = 0; // when the first keystroke came that no save has carried yet
  let typed = 0; // counts what changed
  let turn = 0; // counts what was sent: a save that arrives late must not overwrite a later one
  let version = 0; // the newest version that this page has made
  let flying = null; // the AbortController of a save on its way
  let redrawing = false; // htmx draws the form again
  let failures = 0;
  let leaving = false; // a button sends the form itself
  let over = false; // somebody has to look first: nothing is saved by itself any more

  function say(words, state) {
    line.dataset.state = state;
    const text = document.createElement("p");
    text.append(...words);
    line.replaceChildren(text);
  }

  function link(href, text) {
    const a = document.createElement("a");
    a.href = href;
    a.target = "_blank";
    a.textContent = text;
    return a;
  }

  // When ---------------------------------------------------------------------------------------------------------------

  function soon() {
    if (over) return;
    const now = Date.now();
    since ||= now;
    later(failures ? waitOf(failures) : Math.max(0, Math.min(PAUSE, since + LONGEST - now)));
  }

  function later(milliseconds) {
    clearTimeout(timer);
    timer = setTimeout(save, milliseconds);
  }

  const waitOf = (times) => Math.min(LONGEST_WAIT, 1000 * 2 ** times);

  function changed(event) {
    // A search for an account is not part of the deal.
    if (event.target.name === "q") return;
    typed += 1;
    soon();
  }

  form.addEventListener("input", changed);
  form.addEventListener("change", changed);
  // Who goes may not come back, and who comes back may have signed in again.
  document.addEventListener("visibilitychange", () => { if (since) save(); });
  window.addEventListener("online", () => { if (failures) save(); });

  // Saving -------------------------------------------------------------------------------------------------------------

  function takeTurn() {
    turn += 1;
    form.elements.turn.value = turn;
  }

  async function save() {
    clearTimeout(timer);
    // What waits is saved when the other thing is done.
    if (over || leaving || flying || redrawing) return;
    since = 0;
    const carried = typed;
    flying = new AbortController();
    const patience = setTimeout(() => flying?.abort(), PATIENCE);
    let answer = null;
    try {
      answer = await send(flying.signal);
    } catch {
      // Not reached: told below.
    }
    clearTimeout(patience);
    flying = null;
    if (leaving) return;
    if (!answer || answer.status === 429 || answer.status >= 500) {
      tryAgain(answer);
      return;
    }
    failures = 0;
    if (answer.type === "opaqueredirect") {
      since = Date.now();
      say(["Not saved: your sign-in has ended. What you typed stays here. ", link("/login/", "Sign in in a new tab"), ", then type on."], "trouble");
      return;
    }
    take(answer, carried);
    if (typed !== carried) soon();
  }

  async function send(signal) {
    takeTurn();
    const answer = await post(signal);
    if (answer.status !== 403 || answer.line) return answer;
    const page = await fetch(window.location.href, { signal, redirect: "manual" });
    if (page.type === "opaqueredirect") return { type: page.type, status: 0 };
    if (!page.ok || !takeToken(await page.text())) return answer;
    takeTurn();
    return post(signal);
  }

  async function post(signal) {
    const body = new FormData(form);
    body.delete("q");
    body.set("do", "autosave");
    const answer = await fetch(form.action, { method: "POST", body, signal, redirect: "manual" });
    if (answer.type === "opaqueredirect") return { type: answer.type, status: 0 };
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return { type: answer.type, status: answer.status, line: page.querySelector("[data-autosaved]") };
  }

  // Somebody who signed in again in another tab has another token than this page.
  function takeToken(html) {
    const page = new DOMParser().parseFromString(html, "text/html");
    const token = page.querySelector("#deal-form [name=csrfmiddlewaretoken]")?.value;
    if (!token) return false;
    for (const input of document.querySelectorAll("[name=csrfmiddlewaretoken]")) input.value = token;
    document.body.setAttribute("hx-headers", JSON.stringify({ "X-CSRFToken": token }));
    return true;
  }

  function tryAgain(answer) {
    failures += 1;
    since = Date.now();
    const wait = waitOf(failures);
    later(wait);
    const why = answer ? "the server did not take it" : "no connection";
    say([`Not saved: ${why}. What you typed stays here; the next try is in ${wait / 1000} seconds.`], "trouble");
  }

  function take(answer, carried) {
    const told = answer.line;
    const state = told?.dataset.autosaved;
    if (state === "saved") {
      if (told.dataset.version) keepVersion(Number(told.dataset.version), told.dataset.url, told.dataset.reference);
      if (typed === carried && !("left" in told.dataset)) delete form.dataset.dirty;
    } else if (state === "blank") {
      if (typed === carried) delete form.dataset.dirty;
    } else if (answer.status !== 422) {
      over = true;
    }
    if (told) say(told.childNodes, state === "saved" && !("left" in told.dataset) ? "saved" : state === "blank" ? "" : "trouble");
    else say([`Not saved: this page cannot save by itself any more (${answer.status}). Copy what you need and reload it.`], "trouble");
  }

  // What the server made of it -----------------------------------------------------------------------------------------

  let oldAddress = "";

  function keepVersion(made, url, reference) {
    version = made;
    writeVersion();
    const here = new URL(url, window.location.href);
    if (new URL(form.action).pathname === here.pathname) return;
    // A new deal has become a draft: from here on this is its page.
    oldAddress = form.getAttribute("action");
    form.setAttribute("action", url);
    window.history.replaceState(window.history.state, "", url);
    document.title = document.title.replace(/^[^·]*/, `${reference} `);
    const unsaved = document.getElementById("unsaved");
    if (unsaved) unsaved.textContent = `${reference}, saved as a draft`;
  }

  function writeVersion() {
    if (!version) return;
    const { version: input, form_token: token } = form.elements;
    if (input) {
      input.value = Math.max(version, Number(input.value));
    } else {
      token.name = "version";
      token.value = version;
    }
  }

  // Together with the parts that htmx draws again ----------------------------------------------------------------------

  const redraws = (event) => event.detail.target?.id === "editor";

  document.addEventListener("htmx:configRequest", (event) => {
    if (oldAddress && event.detail.path === oldAddress) event.detail.path = form.getAttribute("action");
  });
  document.addEventListener("htmx:beforeRequest", (event) => { if (redraws(event)) redrawing = true; });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (!redraws(event)) return;
    redrawing = false;
    if (since) soon();
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (!redraws(event)) return;
    redrawing = false;
    writeVersion();
    // Another type, plan or card is work, too.
    typed += 1;
    soon();
  });

  // Together with the buttons ------------------------------------------------------------------------------------------

  // The pressed button saves whatever waits; what is on its way may arrive or not, the server tells them apart.
  form.addEventListener("submit", () => {
    leaving = true;
    clearTimeout(timer);
    flying?.abort();
    takeTurn();
  });
  window.addEventListener("pageshow", () => { leaving = false; });
})();
