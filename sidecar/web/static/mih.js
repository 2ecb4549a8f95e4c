// What the pages do beyond HTML: local times, charts, questions before deeds, copies, menus, polite words.
"use strict";
(() => {
  const body = document.body;
  const language = document.documentElement.lang || "en";
  // Their own habits with dates, where the browser has the page's language: en-GB, es-MX.
  const habits = navigator.languages.find((one) => one.split("-")[0] === language) || language;
  const words = body.dataset;
  const each = (within, selector, act) => {
    if (within.matches && within.matches(selector)) act(within);
    within.querySelectorAll(selector).forEach(act);
  };

  // Moments: the server writes UTC, people read their own time and find UTC in the title.
  const shapes = {
    moment: new Intl.DateTimeFormat(habits, { dateStyle: "medium", timeStyle: "medium" }),
    clock: new Intl.DateTimeFormat(habits, { hour: "2-digit", minute: "2-digit" }),
    day: new Intl.DateTimeFormat(habits, { day: "numeric", month: "short" }),
  };
  const localise = (time) => {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) return;
    const utc = time.dateTime.replace("T", " ").replace(/\.\d+Z$|Z$/, " UTC");
    const local = shapes.moment.format(at);
    const kind = time.dataset.time;
    time.title = kind === "moment" ? utc : `${local} (${utc})`;
    if (shapes[kind]) time.textContent = shapes[kind].format(at);
  };

  // Said to everybody: seen for a moment, read by screen readers.
  let silence;
  const say = (text) => {
    const said = document.getElementById("said");
    said.textContent = text;
    said.classList.add("shown");
    clearTimeout(silence);
    silence = setTimeout(() => { said.classList.remove("shown"); said.textContent = ""; }, 5000);
  };

  // A question before a deed. Resolves to true or false.
  const ask = (question) => new Promise((resolve) => {
    const dialog = document.createElement("dialog");
    dialog.className = "ask";
    const text = document.createElement("p");
    text.id = "ask-text";
    text.textContent = question;
    dialog.setAttribute("aria-labelledby", text.id);
    const buttons = document.createElement("form");
    buttons.method = "dialog";
    for (const [value, word, kind] of [["", words.cancel, "outline-secondary"], ["yes", words.ok, "danger"]]) {
      const button = document.createElement("button");
      button.className = `btn btn-${kind}`;
      button.value = value;
      button.textContent = word;
      buttons.append(button);
    }
    dialog.append(text, buttons);
    body.append(dialog);
    dialog.addEventListener("close", () => { dialog.remove(); resolve(dialog.returnValue === "yes"); });
    dialog.showModal();
  });
  document.addEventListener("submit", async (event) => {
    const question = event.submitter?.dataset.confirm || event.target.dataset.confirm;
    if (!question || event.target.dataset.agreed) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (!(await ask(question))) return;
    event.target.dataset.agreed = "yes";
    event.target.requestSubmit(event.submitter);
    delete event.target.dataset.agreed;
  }, true);
  document.addEventListener("htmx:confirm", async (event) => {
    if (!event.detail.question) return;
    event.preventDefault();
    if (await ask(event.detail.question)) event.detail.issueRequest(true);
  });

  // Charts: the table inside of the figure has the figures, and stays for those who cannot see the chart.
  const drawn = new Map();
  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(name).trim();
    return { text: read("--bs-secondary-color"), grid: read("--bs-border-color"),
      lines: ["--chart-1", "--chart-2", "--chart-3", "--chart-4", "--chart-5", "--chart-6"].map(read) };
  };
  const figures = (table) => {
    const rows = [...table.tBodies[0].rows];
    const xs = rows.map((row) => Date.parse(row.querySelector("time").dateTime) / 1000);
    const names = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent);
    const read = (row, column) => {
      const value = row.cells[column + 1]?.dataset.value;
      return value ? Number(value) : null;
    };
    return { xs, names, ys: names.map((_, column) => rows.map((row) => read(row, column))) };
  };
  // Hours, and the day below where one begins; days alone where they are what counts.
  const ticks = (_plot, splits, _axis, _space, step) => {
    let before = "";
    return splits.map((at) => {
      const day = shapes.day.format(at * 1000);
      const isNew = day !== before;
      before = day;
      if (step >= 86400) return day;
      const time = shapes.clock.format(at * 1000);
      return isNew ? `${time}\n${day}` : time;
    });
  };
  // What stands under the pointer: the moment and each line's figure.
  const tip = (shown, hue) => {
    const box = document.createElement("div");
    box.className = "chart-tip";
    box.hidden = true;
    const fill = (plot) => {
      const { idx, left, top } = plot.cursor;
      box.hidden = idx === null || idx === undefined || left < 0;
      if (box.hidden) return;
      const lines = [shapes.moment.format(plot.data[0][idx] * 1000)];
      plot.series.slice(1).forEach((one, at) => lines.push(`${one.label}: ${shown(plot.data[at + 1][idx])}`));
      box.replaceChildren(...lines.map((text, at) => {
        const line = document.createElement("p");
        const mark = document.createElement("i");
        if (at) { mark.style.background = hue.lines[(at - 1) % hue.lines.length]; line.append(mark); }
        line.append(text);
        return line;
      }));
      const room = plot.over.clientWidth - box.offsetWidth - 12;
      box.style.left = `${left > room ? Math.max(left - box.offsetWidth - 12, 0) : left + 12}px`;
      box.style.top = `${Math.min(Math.max(top - box.offsetHeight / 2, 0), plot.over.clientHeight)}px`;
    };
    return { hooks: { init: (plot) => plot.over.append(box), setCursor: fill } };
  };
  const inside = (figure) => {
    const style = getComputedStyle(figure);
    return figure.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  };
  // Where a value has none beside it there is no line: it is drawn as a point.
  const lone = (values) => [...values.keys()].filter((at) => values[at] != null && values[at - 1] == null && values[at + 1] == null);
  const draw = (figure) => {
    const table = figure.querySelector("table.table");
    if (!window.uPlot || !table || !table.tBodies[0]?.rows.length) return;
    const { xs, names, ys } = figures(table);
    let details = figure.querySelector("details");
    if (!details) {
      details = document.createElement("details");
      const summary = document.createElement("summary");
      summary.textContent = words.asTable;
      const inner = table.closest(".table-around") || table;
      inner.before(details);
      details.append(summary, inner);
    }
    drawn.get(figure)?.destroy();
    const hue = colours();
    const bars = figure.dataset.chart === "bars" ? window.uPlot.paths.bars({ size: [0.8, 60, 2] }) : undefined;
    const axis = { stroke: hue.text, grid: { stroke: hue.grid, width: 1 }, ticks: { stroke: hue.grid, width: 1 } };
    const number = new Intl.NumberFormat(habits, { maximumFractionDigits: 2 });
    const unit = figure.dataset.unit ? ` ${figure.dataset.unit}` : "";
    // Of things that are counted there are no halves.
    const whole = !unit && ys.flat().every((value) => Number.isInteger(value ?? 0));
    const shown = (value) => (value === null || value === undefined ? "–" : number.format(value) + unit);
    const plot = new window.uPlot({
      width: Math.max(inside(figure), 200), height: 220, legend: { live: false }, plugins: [tip(shown, hue)],
      scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high || 1) * 1.05] } },
      axes: [{ ...axis, space: 76, values: ticks }, { ...axis, size: 64, incrs: whole ? [1, 2, 5].flatMap((one) => [one, one * 10, one * 100, one * 1e3, one * 1e4, one * 1e5]).sort((a, b) => a - b) : undefined, values: (_, splits) => splits.map((tick) => number.format(tick) + unit) }],
      series: [
        { value: (_, at) => (at ? shapes.moment.format(at * 1000) : "–") },
        ...names.map((name, index) => ({
          label: name, stroke: hue.lines[index % hue.lines.length], width: bars ? 0 : 2, paths: bars,
          fill: bars ? hue.lines[index % hue.lines.length] : undefined,
          dash: bars || index === 0 ? undefined : [[], [6, 4], [2, 3], [10, 4, 2, 4]][index % 4],
          points: { show: false, size: 7, fill: hue.lines[index % hue.lines.length], filter: bars ? undefined : (self, at) => lone(self.data[at]) }, value: (_, value) => shown(value),
        })),
      ],
    }, [xs, ...ys], (self, start) => { details.before(self.root); start(); });
    plot.root.setAttribute("aria-hidden", "true");
    drawn.set(figure, plot);
  };
  const redraw = () => drawn.forEach((_, figure) => draw(figure));
  const tidy = () => drawn.forEach((plot, figure) => {
    if (!figure.isConnected) { plot.destroy(); drawn.delete(figure); }
  });
  document.addEventListener("mih:theme", redraw);
  let resized;
  window.addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(redraw, 150); });

  // Copies and menus.
  document.addEventListener("click", async (event) => {
    const target = event.target.closest("[data-copy], [data-toggles], [data-set-theme]");
    document.querySelectorAll("details.user[open]").forEach((menu) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
    if (!target) return;
    if (target.dataset.setTheme) {
      window.mihTheme(target.dataset.setTheme);
      mark();
    } else if (target.dataset.toggles) {
      const open = document.getElementById(target.dataset.toggles).classList.toggle("open");
      target.setAttribute("aria-expanded", String(open));
    } else {
      await navigator.clipboard.writeText(document.getElementById(target.dataset.copy).textContent);
      say(words.copied);
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    document.querySelectorAll("details.user[open]").forEach((menu) => {
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  });
  const mark = () => document.querySelectorAll("[data-set-theme]").forEach((button) => {
    button.setAttribute("aria-pressed", String(button.dataset.setTheme === document.documentElement.dataset.theme));
  });

  // Parts of a form that belong to a choice: data-for="type=amqp soap" is there with these, data-not without.
  const adapt = (form) => each(form, "[data-for], [data-not]", (part) => {
    const [name, values] = (part.dataset.for || part.dataset.not).split("=");
    part.hidden = values.split(" ").includes(form.elements[name]?.value) === Boolean(part.dataset.not);
  });
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-adapts]");
    if (form) adapt(form);
  });
  // What the server says of a field while it is typed marks the field, too.
  document.addEventListener("htmx:oobAfterSwap", (event) => {
    const said = event.target;
    const field = said.id.endsWith("-problem") && document.getElementById(said.id.slice(0, -"-problem".length));
    if (!field) return;
    const wrong = said.textContent.trim() !== "";
    field.classList.toggle("is-invalid", wrong);
    if (wrong) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  });

  // What came with the page, and what htmx brings later.
  const furnish = (within) => {
    each(within, "form[data-adapts]", adapt);
    each(within, "time[data-time]", localise);
    each(within, "figure[data-chart]", draw);
    each(within, "[data-toggles], .themes", (element) => { element.hidden = false; });
    if (navigator.clipboard) each(within, "[data-copy]", (button) => { button.hidden = false; });
  };
  window.mihFurnish = furnish;
  furnish(document);
  mark();
  document.addEventListener("htmx:load", (event) => { furnish(event.detail.elt); tidy(); });
  // Of what renews itself live.js tells.
  for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
      if (!(event.detail.elt.getAttribute("hx-trigger") || "").includes("every")) say(words.failed);
    });
  }
})();
