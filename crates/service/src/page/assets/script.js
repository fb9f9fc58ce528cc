// Makes the pages quicker. Each of them works without it: see the attributes in `page/mod.rs`.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const parse = (text) => new DOMParser().parseFromString(text, "text/html");

  // Reads a page. Where the response is not one of ours, such as a sign-in, the browser goes there.
  async function read(url, options) {
    const response = await fetch(url, options);
    const page = parse(await response.text());
    if (!$("#main", page) || new URL(response.url).pathname === "/login") {
      location.assign(response.url);
      return null;
    }
    const is_unavailable = response.status === 429 || response.status >= 500;
    return { page, url: response.redirected ? response.url : null, is_unavailable };
  }

  // Says that something failed, where messages stand.
  function fail() {
    const text = document.createElement("p");
    text.className = "note";
    text.textContent = "The server cannot be reached. Try again in a moment.";
    const dialog = $("dialog[open]");
    if (dialog) {
      $(":scope > .note", dialog)?.remove();
      dialog.prepend(text);
    } else {
      $("#flash").replaceChildren(text);
    }
  }

  // Shows a page in place of this one, and puts the focus where somebody goes on.
  function show(page, row, id) {
    document.title = page.title;
    $("body > header").replaceWith($("body > header", page));
    $("#main").replaceWith($("#main", page));
    const same = row && rows().find((it) => it.dataset.row === row);
    const next = $("[aria-invalid=true]") || (id && document.getElementById(id))
      || $("[autofocus]") || (same && $("a, button", same)) || $("#main");
    next.focus();
    prepare();
  }

  const rows = (root = document) => [...root.querySelectorAll("[data-row]")];
  const rowOf = (element) => element?.closest("[data-row]")?.dataset.row;

  async function go(url, options, from) {
    try {
      const got = await read(url, options);
      if (!got) return;
      const dialog = from?.closest("dialog");
      const opener = dialog?.opener || from;
      if (dialog && ask(dialog, got.page)) return;
      const at = got.url || (options ? null : url);
      if (at && at !== location.href) history.pushState(null, "", at);
      show(got.page, rowOf(opener), opener?.id);
    } catch {
      fail();
    }
  }

  // Shows the question of a page in a dialog, if the page has one.
  function ask(dialog, page) {
    const content = $("[data-dialog-content]", page);
    if (!content) return false;
    dialog.replaceChildren(content);
    if (!dialog.open) {
      $("#main").append(dialog);
      dialog.showModal();
    }
    ($("[aria-invalid=true]", dialog) || $("[autofocus]", dialog))?.focus();
    return true;
  }

  async function open(link) {
    try {
      const got = await read(link.href);
      if (!got) return;
      const dialog = document.createElement("dialog");
      dialog.opener = link;
      // The row of the link may have been replaced in the meantime.
      dialog.addEventListener("close", () => {
        dialog.remove();
        (link.isConnected ? link : document.getElementById(link.id))?.focus();
      });
      if (!ask(dialog, got.page)) show(got.page);
    } catch {
      fail();
    }
  }

  addEventListener("popstate", () => go(location.href));

  addEventListener("submit", async (event) => {
    const sent = event.target;
    if (sent.matches("[data-search]")) {
      event.preventDefault();
      search(sent);
    } else if (sent.method === "post" && !("plain" in sent.dataset)) {
      event.preventDefault();
      const button = event.submitter;
      const body = new URLSearchParams(new FormData(sent, button));
      if (button) button.disabled = true;
      await go(sent.action, { method: "POST", body }, button || sent);
      if (button) button.disabled = false;
    }
  });

  addEventListener("click", (event) => {
    const link = event.target.closest("a[data-swap], a[data-dialog]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
      event.preventDefault();
      const dialog = link.closest("dialog");
      if (dialog && "cancel" in link.dataset) dialog.close();
      else if ("dialog" in link.dataset) open(link);
      else go(link.href, undefined, link);
    }
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent)
        .then(() => { copy.textContent = "Copied"; });
    }
  });

  // Escape closes what asks before it deletes, and leaves a form that a link opened.
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const asked = event.target.closest?.("details.ask[open]");
    if (asked) {
      event.preventDefault();
      asked.open = false;
      $("summary", asked).focus();
      return;
    }
    const cancel = event.target.closest?.("form") && $("a[data-cancel]", event.target.closest("form"));
    if (cancel) cancel.click();
  });

  // Where somebody is asked, Escape and Tab are at the first answer.
  addEventListener("toggle", (event) => {
    if (event.target.matches("details.ask[open]")) $("button", event.target).focus();
  }, true);

  // Search as somebody types. Only the response to the last request counts.
  let waiting, pending;
  addEventListener("input", (event) => {
    const search_form = event.target.closest?.("[data-search]");
    if (!search_form) return;
    clearTimeout(waiting);
    waiting = setTimeout(() => search(search_form), 120);
  });

  async function search(search_form) {
    clearTimeout(waiting);
    pending?.abort();
    const mine = pending = new AbortController();
    const fields = [...new FormData(search_form)].filter(([, value]) => value !== "");
    const query = new URLSearchParams(fields).toString();
    const url = search_form.action + (query && "?" + query);
    try {
      const got = await read(url, { signal: mine.signal });
      if (!got) return;
      history.replaceState(null, "", url);
      $("#list").replaceWith($("#list", got.page));
    } catch (error) {
      if (error.name !== "AbortError") fail();
    }
  }

  // Changes that somebody else makes appear on the open page.
  let stream;
  function listen() {
    // A browser has few connections to a server, and a hidden page needs none.
    const url = document.hidden ? undefined : $("[data-live]")?.dataset.live;
    if (stream?.source === url && stream?.readyState !== EventSource.CLOSED) return;
    stream?.close();
    stream = null;
    if (!url) return;
    stream = new EventSource(url);
    stream.source = url;
    let begun = false;
    stream.addEventListener("ready", () => {
      // What changed while there was no stream.
      if (begun || missed) refresh();
      begun = true;
      missed = false;
    });
    for (const kind of ["change", "erased", "reset"]) stream.addEventListener(kind, refresh);
    stream.addEventListener("end", () => stream?.close());
  }
  let missed = false;
  addEventListener("visibilitychange", () => {
    if (document.hidden) missed = true;
    listen();
  });

  let refreshing = false, again = false;
  async function refresh() {
    if (refreshing) {
      again = true;
      return;
    }
    refreshing = true;
    try {
      do {
        again = false;
        const live = $("[data-live]"), url = location.href;
        // The message of what somebody has just done is for the page that they are led to.
        const got = await read(url, { headers: { "x-background": "1" } });
        if (!got || !live) return;
        const fresh = $("[data-live]", got.page);
        // Another page may have been shown in the meantime.
        if (!live.isConnected || location.href !== url) again = true;
        else if (fresh) update(live, fresh);
        // What the page was about is no longer there, or no longer for whoever looks at it.
        else if (!got.is_unavailable) show(got.page);
      } while (again);
    } catch {
      // The stream connects again by itself, and its first event leads back here.
    } finally {
      refreshing = false;
    }
  }

  // Replaces the rows that differ, but not the one in which somebody is writing.
  function update(live, fresh) {
    const known = new Map(rows(live).map((it) => [it.dataset.row, it]));
    const active = document.activeElement;
    const row = rowOf(active);
    const position = row === undefined ? -1 : focusable(known.get(row)).indexOf(active);
    const body = body_of(live), fresh_body = body_of(fresh);
    const head = $("thead", live), fresh_head = $("thead", fresh);
    if (!body || !fresh_body || (head && !head.isEqualNode(fresh_head))) {
      if (!$("[data-editing]", live)) live.replaceChildren(...fresh.childNodes);
      return;
    }
    const fresh_rows = [];
    const next = [...fresh_body.children].map((it) => {
      const old = known.get(it.dataset.row);
      if (!old || !old.isEqualNode(it)) {
        if (old && $("[data-editing]", old)) {
          if ($("[name=change]", it)?.value !== $("[name=change]", old)?.value) warn(old);
          return old;
        }
        if (old && $("details[open]", old)) return old;
        fresh_rows.push(it);
        return it;
      }
      return old;
    });
    // A fact that was removed while somebody edits it stays until they are done.
    for (const [key, old] of known) {
      if ($("[data-editing]", old) && !next.includes(old)) {
        warn(old);
        next.push(old);
      }
    }
    if (next.length === body.children.length && next.every((it, at) => it === body.children[at])) return;
    body.replaceChildren(...next);
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) {
      for (const it of fresh_rows) it.animate({ background: ["var(--mark)", "transparent"] }, 2000);
    }
    if (position >= 0 && document.activeElement !== active) {
      const same = rows(live).find((it) => it.dataset.row === row);
      (active.isConnected ? active : same && focusable(same)[position])?.focus();
    }
  }
  // Says that somebody else has changed what is being edited, where the form has words for that.
  function warn(row) {
    const text = $("[data-elsewhere]", row);
    if (text) text.hidden = false;
  }
  const body_of = (root) => root.matches("[data-rows]") ? root : $("tbody", root);
  const focusable = (root) => [...(root?.querySelectorAll("a, button, input, textarea, summary") || [])];

  // What is of use only with this script.
  function prepare() {
    const field = $("[autofocus]");
    field?.setSelectionRange?.(field.value.length, field.value.length);
    for (const button of document.querySelectorAll("[data-copy]")) {
      button.hidden = !navigator.clipboard;
    }
    listen();
  }
  prepare();
})();
