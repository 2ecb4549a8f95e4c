// Parts that renew themselves under people's hands: nothing is moved, closed or forgotten, and what is stale says so.
"use strict";
(() => {
  const TRIGGER = "hx-trigger";
  const WAIT_MS = 15000;
  const polls = (element) => (element.getAttribute(TRIGGER) || "").includes("every");

  // A button or a link that slides away under the pointer is another's: somebody who aims at one is waited for.
  let aimed = -Infinity;
  document.addEventListener("pointermove", () => { aimed = performance.now(); });
  const isAimedAt = (part) => performance.now() - aimed < 10000 && part.querySelector("a:hover, button:hover");
  const isSelected = (part) => {
    const chosen = window.getSelection();
    return !chosen.isCollapsed && chosen.containsNode(part, true);
  };
  // Under a pressed button nothing moves: the click would be lost.
  let pressed = false;
  const held = new Set();
  const release = () => {
    pressed = false;
    const answers = [...held];
    held.clear();
    answers.forEach((request) => request.onload());
  };
  document.addEventListener("pointerdown", () => { pressed = true; });
  // Of a finger's touch the click comes a moment later; over a menu of the browser's own the pointer is let go unseen.
  for (const end of ["pointerup", "pointercancel", "contextmenu", "change"]) {
    document.addEventListener(end, () => setTimeout(release, 100));
  }
  window.addEventListener("blur", () => setTimeout(release, 100));
  // The table of a chart that is open, and the choice beside it that is not sent yet.
  const isRead = (part) => part.querySelector("figure.chart details[open], form[method=get]:focus-within");
  // A question's answer is about what was seen when it was asked.
  const isInUse = (part) => pressed || isAimedAt(part) || isSelected(part) || isRead(part)
    || document.querySelector("dialog[open]");

  document.addEventListener("htmx:beforeRequest", (event) => {
    const { elt, target } = event.detail;
    // A hidden page asks nothing, unless somebody clicked.
    if (polls(elt) && (document.hidden || isInUse(target))) event.preventDefault();
    if (isRead(target)) seen.set(elt.id, Date.now());
  });
  document.addEventListener("htmx:configRequest", (event) => {
    if (polls(event.detail.elt)) event.detail.timeout = WAIT_MS;
  });
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    const { elt, target, xhr } = event.detail;
    if (polls(elt) && isInUse(target)) event.preventDefault(); // it is asked for again
    else if (!polls(elt) && pressed) { event.preventDefault(); held.add(xhr); }
    else if (xhr.status === 401 && isTyped()) { event.preventDefault(); tell("over"); }
  });

  // What is unfolded, scrolled and focused stays so. What has an id keeps the focus by htmx.
  const SCROLLED = ".table-around, pre";
  const nameOf = (element) => [element.tagName, element.getAttribute("href"), element.getAttribute("aria-label"),
    element.form && element.form.getAttribute("action") + element.textContent.trim()].join(" ");
  const alike = (part, name) => [...part.querySelectorAll("a, button, summary, [tabindex]")].filter((one) => nameOf(one) === name);
  let before = null;
  document.addEventListener("htmx:beforeSwap", (event) => {
    const part = event.detail.target;
    const focused = part.contains(document.activeElement) && document.activeElement;
    const name = focused && nameOf(focused);
    before = {
      id: part.id,
      unfolded: [...part.querySelectorAll("details[open][id]")].map((one) => one.id),
      scrolled: [...part.querySelectorAll(SCROLLED)].map((one) => [one.scrollLeft, one.scrollTop]),
      name, at: focused && alike(part, name).indexOf(focused),
    };
  });
  document.addEventListener("htmx:afterSettle", () => {
    const part = before && document.getElementById(before.id);
    if (!part) return;
    const { unfolded, scrolled, name, at } = before;
    before = null;
    part.querySelectorAll("details[id]").forEach((one) => { one.open = one.open || unfolded.includes(one.id); });
    part.querySelectorAll(SCROLLED).forEach((one, index) => { [one.scrollLeft, one.scrollTop] = scrolled[index] || [0, 0]; });
    if (name && document.activeElement === document.body) alike(part, name)[at]?.focus({ preventScroll: true });
  });

  // Since when what is seen is not current any more: said once, until it is.
  const notices = document.getElementById("notices");
  const seen = new Map();
  const parts = () => [...document.querySelectorAll(`[${TRIGGER}*=every]`)];
  const tell = (what, at) => {
    const template = document.getElementById(`notice-${what}`);
    if (notices.dataset.said === what) return;
    notices.dataset.said = what;
    notices.replaceChildren(template.content.cloneNode(true));
    const time = notices.querySelector("time");
    if (time) time.dateTime = new Date(at).toISOString();
    window.mihFurnish(notices);
  };
  const look = () => {
    const late = parts().filter((part) => {
      const every = Number(/every (\d+)s/.exec(part.getAttribute(TRIGGER))[1]) * 1000;
      if (!seen.has(part.id)) seen.set(part.id, Date.now());
      return Date.now() - seen.get(part.id) > 2 * every + WAIT_MS / 3;
    });
    if (late.length) tell("stale", Math.min(...late.map((part) => seen.get(part.id))));
    else if (notices.dataset.said === "stale") { notices.replaceChildren(); delete notices.dataset.said; }
  };
  look();
  setInterval(look, 1000);
  document.addEventListener("htmx:afterOnLoad", (event) => {
    const { elt } = event.detail.requestConfig; // what has replaced itself is not where the event is told
    if (polls(elt) && event.detail.successful) seen.set(elt.id, Date.now());
    look();
  });
  // Who comes back to a tab sees it anew.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) parts().forEach((part) => window.htmx.trigger(part, "renew"));
  });

  // The end of a session takes nobody's half-written form away.
  const isTyped = () => [...document.querySelectorAll("form[method=post] :is(input, textarea)")].some((field) =>
    field.type !== "hidden" && (field.value !== field.defaultValue || field.checked !== field.defaultChecked));

  // What somebody filled in leaves only where it will be taken, with the token of the session that there is now.
  const isFilledIn = (form) => form.elements.csrf && form.querySelector("textarea, select, input:not([type=hidden])");
  const renewToken = async () => {
    const answer = await fetch("/session", { headers: { "HX-Request": "true" }, signal: AbortSignal.timeout(WAIT_MS) });
    if (!answer.ok) return [401, 403].includes(answer.status) ? "over" : "unsent";
    const token = await answer.text();
    document.querySelectorAll("input[name=csrf]").forEach((field) => { field.value = token; });
    document.body.setAttribute("hx-headers", JSON.stringify({ "X-CSRF-Token": token }));
    return "";
  };
  let sound = null;
  const send = async (form, button) => {
    const obstacle = await renewToken().catch(() => "unsent");
    delete form.dataset.sent;
    if (obstacle) { delete notices.dataset.said; tell(obstacle); return; }
    sound = form;
    form.dataset.agreed = "yes"; // whoever was asked is not asked again
    form.requestSubmit(button);
    delete form.dataset.agreed;
    sound = null;
  };

  // A deed is done once, however often its button is pressed.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    setTimeout(() => delete form.dataset.sent, WAIT_MS);
    if (form === sound || !isFilledIn(form)) return;
    event.preventDefault();
    send(form, event.submitter);
  });
  window.addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));
})();
