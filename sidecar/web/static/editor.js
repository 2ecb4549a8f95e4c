// The editor of rules: templates in colours, lines that are wrong, events and fields that a click writes.
"use strict";
(() => {
  const SHAPES = {
    json: [
      ["comment", /\{#[^]*?(?:#\}|$)/y],
      ["jinja", /\{\{[^]*?(?:\}\}|$)|\{%[^]*?(?:%\}|$)/y],
      ["key", /"(?:[^"\\\n{]|\\.)*"(?=\s*:)/y],
      ["string", /"(?:[^"\\\n{]|\\.|\{(?![{%#]))*"?/y],
      ["number", /-?\b\d+(?:\.\d+)?(?:[eE][-+]?\d+)?\b/y],
      ["word", /\b(?:true|false|null)\b/y],
    ],
    yaml: [
      ["comment", /#[^\n]*/y],
      ["jinja", /\{\{[^]*?(?:\}\}|$)/y],
      ["key", /[\w.-]+(?=\s*:)/y],
      ["string", /"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?/y],
      ["number", /-?\b\d+(?:\.\d+)?\b/y],
      ["word", /\b(?:true|false|null)\b/y],
    ],
  };
  const LONGEST = 60000;

  // The same text lies in colours behind a field whose own letters cannot be seen.
  const pieces = (text, kind) => {
    const made = document.createDocumentFragment();
    let plain = "";
    const put = () => { if (plain) made.append(plain); plain = ""; };
    let at = 0;
    while (at < text.length) {
      let found = null;
      for (const [name, shape] of SHAPES[kind]) {
        shape.lastIndex = at;
        const match = shape.exec(text);
        if (match && match[0]) { found = [name, match[0]]; break; }
      }
      if (!found) { plain += text[at]; at += 1; continue; }
      put();
      const span = document.createElement("span");
      span.className = `hl-${found[0]}`;
      span.textContent = found[1];
      made.append(span);
      at += found[1].length;
    }
    put();
    return made;
  };
  const coloured = (area) => {
    const around = document.createElement("div");
    around.className = "coloured";
    const back = document.createElement("pre");
    back.className = "form-control mono";
    back.setAttribute("aria-hidden", "true");
    area.before(around);
    around.append(back, area);
    const follow = () => { back.scrollTop = area.scrollTop; back.scrollLeft = area.scrollLeft; };
    const paint = () => {
      const tooLong = area.value.length > LONGEST;
      around.classList.toggle("plain", tooLong);
      back.replaceChildren(...(tooLong ? [] : [pieces(area.value, area.dataset.coloured), "\n"]));
      follow();
    };
    area.addEventListener("input", paint);
    area.addEventListener("scroll", follow);
    paint();
  };
  document.querySelectorAll("textarea[data-coloured]").forEach(coloured);

  const tell = (field, name = "input") => field.dispatchEvent(new Event(name, { bubbles: true }));
  const write = (field, text) => {
    field.focus();
    field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
    tell(field);
  };

  // Where a click writes: the field that was last typed in, else the template.
  let last = null;
  document.addEventListener("focusin", (event) => {
    if (event.target.matches("#f-payload, #f-endpoint, #f-headers, #f-when, #f-where, #f-more")) last = event.target;
  });
  const choose = (name) => {
    const content = document.getElementById("f-content");
    if (last === null || last.id === "f-payload") {
      if (content.value === "event") { content.value = "template"; tell(content, "change"); }
      last = document.getElementById("f-payload");
    }
    if (last.id === "f-where") return write(last, `${name}: `);
    return write(last, last.id === "f-when" ? name : `{{ ${name} }}`);
  };
  const add = (field, text) => {
    const lines = field.value.split("\n").map((line) => line.trim()).filter(Boolean);
    const at = lines.indexOf(text);
    if (at < 0) lines.push(text); else lines.splice(at, 1);
    field.value = lines.join("\n");
    tell(field);
    tell(field, "picked");
    if (lines.length) document.getElementById("field-list").open = true;
    mark();
  };
  // Those that are chosen are marked in the list.
  const mark = () => {
    const lines = document.getElementById("f-event").value.split("\n").map((line) => line.trim());
    document.querySelectorAll("[data-adds]").forEach((button) => {
      button.setAttribute("aria-pressed", String(lines.includes(button.dataset.text)));
    });
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-inserts], [data-adds]");
    if (!button) return;
    if (button.dataset.inserts) choose(button.dataset.inserts);
    else add(document.getElementById(button.dataset.adds), button.dataset.text);
  });
  document.getElementById("f-event").addEventListener("input", mark);
  document.addEventListener("htmx:load", mark);
  mark();

  // Enter saves, but where what is typed is tried or looked for at once.
  document.getElementById("rule-form").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("#f-q, #f-log_id")) event.preventDefault();
  });

  // A template that is typed is meant to be sent.
  document.getElementById("f-payload").addEventListener("input", (event) => {
    const content = document.getElementById("f-content");
    if (content.value === "event" && event.target.value.trim()) content.value = "template";
  });

  // "line 3, column 5" in a message leads there; the field is marked for the eye and for screen readers.
  const place = (field, line, column) => {
    const lines = field.value.split("\n");
    const before = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
    const row = lines[line - 1] || "";
    const from = before + Math.min(Math.max(column - 1, 0), row.length);
    field.focus();
    field.setSelectionRange(from, column ? Math.min(from + 1, before + row.length) : before + row.length);
    field.scrollTop = Math.max(0, (line - 3) * parseFloat(getComputedStyle(field).lineHeight));
  };
  const troubled = (box) => {
    const field = document.getElementById(`f-${box.dataset.of}`);
    if (!field) return;
    const wrong = box.textContent.trim() !== "";
    field.classList.toggle("is-invalid", wrong);
    if (wrong) field.setAttribute("aria-invalid", "true"); else field.removeAttribute("aria-invalid");
    const found = /(?:line|línea) (\d+)(?:, (?:column|columna) (\d+))?/.exec(box.textContent);
    if (!found || field.tagName !== "TEXTAREA" || box.querySelector("button")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-sm btn-link";
    button.textContent = document.getElementById("rule-form").dataset.goThere;
    button.addEventListener("click", () => place(field, Number(found[1]), Number(found[2] || 0)));
    box.append(" ", button);
  };
  document.querySelectorAll(".trouble").forEach(troubled);
  document.addEventListener("htmx:oobAfterSwap", () => document.querySelectorAll(".trouble").forEach(troubled));
  document.addEventListener("htmx:afterSettle", () => document.querySelectorAll(".trouble").forEach(troubled));
  document.getElementById("problems")?.focus();
})();
