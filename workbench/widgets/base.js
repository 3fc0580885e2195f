// What every widget of the workbench shares. The Python side puts this file in front of the widget's own file, so that
// the page gets one module and nothing is fetched from anywhere. Text is only ever set as text, never as markup.

function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  dress(node, attributes);
  node.append(...children);
  return node;
}

function svg(tag, attributes = {}, text = null) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  dress(node, attributes);
  if (text !== null) node.textContent = text;
  return node;
}

function dress(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (typeof value === "boolean") node.toggleAttribute(name, value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
}

// An id that no other view of the page has: labels and panels refer to ids, and several widgets share the page.
let _ids = 0;
const _page = Math.random().toString(36).slice(2, 8);
function freshId() {
  _ids += 1;
  return `wb-${_page}-${_ids}`;
}

const LONGEST = 600; // seconds that a widget waits for an answer before it says what to do

// What every widget has: root element, controls, the row of tools (Reset, Table, Large type, PNG, HTML, CSV, Copy),
// busy line, error line, table, a live region for screen readers. The widget waits while the kernel's answer is for another question.
// `who` is at work then, in the busy line. The child puts its own nodes into `body`, between the tools and the table, and
// ends with `start(draw)`. `numbers()` gives [columns, rows, caption] where the table is not the kernel's.
function explorer(model, el, { who = "the model", numbers = null } = {}) {
  const asks = model.get("asked_for");
  const busy = h("span", { class: "wb-busy", role: "status", hidden: true });
  const error = h("div", { class: "wb-error", role: "alert", hidden: true });
  const live = h("div", { class: "wb-unseen", "aria-live": "polite" });
  const body = h("div", { class: "wb-body" });
  const fields = h("div", { class: "wb-row" });
  const others = h("div", { class: "wb-row" });
  const tools = h("div", { class: "wb-row" });
  const box = h("div", { class: "wb-scroll", tabindex: 0, role: "region", "aria-label": "Table of the numbers", hidden: true });
  // Without this attribute JupyterLab takes h, t, arrows and Backspace for its own shortcuts (d d deletes the cell).
  const root = h("div", { class: "wb", "data-lm-suppress-shortcuts": "true" }, fields, tools, others, body, error, box, live);
  el.append(root);

  const waiting = () => {
    const answer = model.get("answer");
    const question = answer.question || {};
    return asks.some((name) => question[name] !== model.get(name)) || (answer.command || 0) !== (model.get("command").n || 0);
  };
  let since = null;
  let clock = null;
  // Whether no answer will come any more: the kernel was restarted, or has ended. Other front ends than JupyterLab do
  // not tell; there the widget waits to its upper end.
  const over = "The kernel was restarted or has ended and no longer knows this widget: run its cell again.";
  let gone = false;
  const kernel = model.widget_manager?.kernel;
  const watch = (_, status) => {
    gone ||= ["restarting", "autorestarting", "terminating", "dead"].includes(status);
    if (gone) check();
  };
  kernel?.statusChanged.connect(watch);
  const tick = () => {
    const seconds = Math.floor((Date.now() - since) / 1000);
    const late = seconds < LONGEST ? "" : `No answer came in ${LONGEST / 60} minutes: restart the kernel and run this cell again.`;
    if (late) {
      clearInterval(clock);
      since = null;
      busy.hidden = true;
      root.setAttribute("aria-busy", "false");
      say(late);
      return;
    }
    busy.hidden = seconds < 1;
    busy.textContent = `${who} is working … ${seconds} s`;
  };
  const say = (sentence) => {
    error.hidden = sentence === "";
    error.textContent = sentence;
  };
  const check = () => {
    const now = waiting() && !gone;
    root.toggleAttribute("data-waiting", now);
    root.setAttribute("aria-busy", String(now));
    if (now && since === null) {
      since = Date.now();
      clock = setInterval(tick, 250);
    } else if (!now && since !== null) {
      clearInterval(clock);
      since = null;
      busy.hidden = true;
    }
    say(now ? "" : (gone && waiting() && over) || model.get("answer").error || "");
    root.classList.toggle("wb-large", model.get("large"));
  };
  // ipywidgets holds edits back while the kernel works and then sends the latest state only, so that one forward runs
  // at a time and a burst of edits costs two.
  let asked = false; // whether this view asked: only then is the answer announced
  const push = (changes) => {
    if (gone) {
      say(over);
      return;
    }
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
    check();
  };
  const numbered = (kind, details) => ({ command: { ...details, kind, n: (model.get("command").n || 0) + 1 } });
  const send = (changes) => {
    asked = true;
    push(changes);
  };
  const act = (kind, details = {}) => send(numbered(kind, details));
  const listening = [];
  const on = (names, action) => {
    for (const name of names) {
      model.on(`change:${name}`, action);
      listening.push([name, action]);
    }
  };

  // --- controls: one a trait; texts are sent together -------------------------------------------------------------------
  const made = model.get("shown_controls").map((one) => control(one, (value) => send({ [one.trait]: value }), () => {
    act("ask", Object.fromEntries(made.filter((each) => each.text).map((each) => [each.trait, each.input.value])));
  }));
  for (const one of made) (one.text ? fields : others).append(one.node);
  const drawControls = () => {
    for (const one of made) one.set(model.get(one.trait));
    large.setAttribute("aria-pressed", String(model.get("large")));
  };

  // --- tools ------------------------------------------------------------------------------------------------------------
  const tableOf = () => {
    const { columns, rows, caption } = model.get("table");
    return columns ? [columns, rows, caption] : null;
  };
  const shownTable = () => (numbers && answer() ? numbers() : tableOf());
  const drawTable = () => {
    if (box.hidden) return;
    const found = shownTable();
    box.replaceChildren(...(found ? [table(...found)] : []));
  };
  const toggle = button("Table", () => {
    box.hidden = !box.hidden;
    toggle.setAttribute("aria-pressed", String(!box.hidden));
    drawTable();
  }, { "aria-pressed": "false" });
  const large = button("Large type", () => push({ large: !model.get("large") }));
  let wanted = null; // the number of this view's own request: another view of the same widget saves nothing
  const take = (format) => {
    push(numbered("export", { format }));
    wanted = model.get("command").n;
  };
  on(["exported"], () => {
    const file = model.get("exported");
    if (file.n !== wanted) return;
    download(Uint8Array.from(atob(file.data), (letter) => letter.charCodeAt(0)), file.kind, file.name);
  });
  const csv = () => {
    const found = shownTable();
    if (found) download(`\ufeff${separated(found, ",")}`, "text/csv", model.get("table").file);
    else say("There is no table to save yet.");
  };
  const copy = async () => {
    const found = shownTable();
    if (!found) {
      say("There is no table to copy yet.");
      return;
    }
    try {
      await navigator.clipboard.writeText(separated(found, "\t"));
      live.textContent = "The table is copied.";
      copying.textContent = "Copied";
      setTimeout(() => { copying.textContent = "Copy"; }, 2000);
    } catch (refused) {
      say(`The browser let nothing be copied (${refused.message}): save the table as CSV.`);
    }
  };
  const copying = button("Copy", copy, { title: "Copy the table, for a spreadsheet" });
  tools.append(
    button("Reset", () => act("reset")), toggle, large,
    button("PNG", () => take("png"), { title: "Save the picture" }),
    button("HTML", () => take("html"), { title: "Save picture and numbers as one page" }),
    button("CSV", csv, { title: "Save the table" }), copying, busy,
  );

  // The answer, or null where the kernel had none; the sentence is in the error line then.
  const answer = () => {
    const now = model.get("answer");
    return Object.keys(now).some((name) => !["question", "command", "error"].includes(name)) ? now : null;
  };
  // Draws now and at every change; gives what takes this view away again, with the `parts` of it that have something to
  // close. `draw(answer)` returns the words for screen readers; `also` names further traits that it draws.
  const start = (draw, parts = [], also = []) => {
    const redraw = () => {
      const words = draw(answer());
      drawTable();
      if (!asked || waiting()) return;
      asked = false;
      live.textContent = model.get("answer").error || words || "";
    };
    let seen = root.clientWidth >= 50; // drawn outside the window, nodes have no size: draw again when they come into view
    const watcher = new ResizeObserver(() => {
      if (!seen && root.clientWidth >= 50) redraw();
      seen = root.clientWidth >= 50;
    });
    watcher.observe(root);
    drawControls();
    redraw();
    on([...asks, "large"], drawControls);
    on(["answer", "large", ...also], redraw);
    return () => {
      for (const part of parts) part.close();
      watcher.disconnect();
      kernel?.statusChanged.disconnect(watch);
      clearInterval(clock);
      for (const [name, action] of listening) model.off(`change:${name}`, action);
      root.remove();
    };
  };
  on([...asks, "command", "answer", "large"], check);
  check();
  return { root, body, tools, live, waiting, send, act, on, answer, take, drawTable, start };
}

function download(content, kind, name) {
  const address = URL.createObjectURL(new Blob([content], { type: kind }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

// A table as text. A spreadsheet takes a cell that begins with = + - @ for a formula: one that is no number gets a '.
function separated([columns, rows], between) {
  const cell = (value) => {
    const text = String(value);
    const plain = /^[=+\-@\t\r]/.test(text) && !Number.isFinite(Number(text)) ? `'${text}` : text;
    return /["\t\r\n,]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
  };
  return [columns, ...rows].map((row) => row.map(cell).join(between)).join("\r\n");
}

// The letters' height of a node in pixels; a node outside the window has no style.
const em = (node) => parseFloat(getComputedStyle(node).fontSize) || 16;

// One of base.py's controls: its node, and `set` for the trait's value.
function control(one, send, ask) {
  if (one.kind === "text") {
    const made = field(one.label, "", one.width, ask);
    const set = (value) => {
      if (made.input === document.activeElement) return;
      made.input.value = value;
      made.input.style.width = `${Math.max(one.width, Math.min(24, 0.6 * value.length + 1.5))}em`; // no word is cut
    };
    return { ...made, trait: one.trait, text: true, set };
  }
  if (one.kind === "choice") {
    const made = choice(one.label, one.options.map(([value, text]) => [String(value), text]), String(one.options[0]?.[0]), (text) => {
      send(one.options.find(([value]) => String(value) === text)?.[0] ?? text);
    });
    const set = (value) => {
      if (![...made.select.options].some((option) => option.value === String(value))) made.select.append(h("option", { value }, String(value)));
      made.select.value = String(value);
    };
    return { ...made, trait: one.trait, set };
  }
  if (one.kind === "slider") {
    const made = slider(one.label, { min: one.low, max: one.high, step: one.step }, send);
    const reading = h("output", {});
    made.node.append(reading);
    const set = (value) => {
      made.input.value = value;
      reading.textContent = one.words ? one.words[Math.round((value - one.low) / one.step)] : value;
      made.input.setAttribute("aria-valuetext", reading.textContent);
    };
    return { ...made, trait: one.trait, set };
  }
  const input = h("input", { type: "checkbox", class: "wb-check", change: () => send(input.checked) });
  return { node: h("label", { class: "wb-label" }, input, one.label), trait: one.trait, set: (value) => { input.checked = value; } };
}

// A widget without JavaScript of its own: what the kernel drew.
function plain({ model, el }) {
  const view = explorer(model, el);
  const says = h("p", { class: "wb-says" });
  const picture = h("img", { class: "wb-still", alt: "" });
  view.body.append(says, picture);
  return view.start(() => {
    const { source, alt, says: words } = model.get("still");
    picture.hidden = !source;
    dress(picture, { src: source, alt: alt || "" });
    says.textContent = words || "";
    return alt;
  });
}

function button(label, action, attributes = {}) {
  return h("button", { type: "button", class: "wb-button", click: action, ...attributes }, label);
}

function choice(label, options, value, action) {
  const select = h("select", { class: "wb-select", change: () => action(select.value) });
  for (const [key, text] of options) select.append(h("option", { value: key }, text));
  if (!options.some(([key]) => key === value)) select.append(h("option", { value }, value));
  select.value = value;
  return { node: h("label", { class: "wb-label" }, label, select), select };
}

// A slider of the browser's own; `action` gets its number. JupyterLab keeps the browser from moving it by keyboard.
function slider(label, attributes, action) {
  const input = h("input", { type: "range", class: "wb-range", "aria-label": label, ...attributes });
  input.addEventListener("input", () => action(input.valueAsNumber));
  input.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!step) return;
    if (step > 0) input.stepUp();
    else input.stepDown();
    action(input.valueAsNumber);
    event.preventDefault();
    event.stopPropagation();
  });
  return { input, node: h("label", { class: "wb-label" }, label, input) };
}

// Tabs as the ARIA practices describe them: arrow keys move between them, Tab goes on into the panel.
function tabs(label, panels) {
  const list = h("div", { class: "wb-tabs", role: "tablist", "aria-label": label });
  const holder = h("div", {}, list);
  const pairs = panels.map(([title, panel, shown]) => {
    const id = freshId();
    panel.id = id;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-label", title);
    const tab = h("button", { type: "button", role: "tab", class: "wb-tab", "aria-controls": id }, title);
    list.append(tab);
    holder.append(panel);
    return { tab, panel, shown };
  });
  const open = (index, focus) => {
    pairs.forEach(({ tab, panel }, i) => {
      tab.setAttribute("aria-selected", String(i === index));
      tab.tabIndex = i === index ? 0 : -1;
      panel.hidden = i !== index;
    });
    if (focus) pairs[index].tab.focus();
    if (pairs[index].shown) pairs[index].shown();
  };
  pairs.forEach(({ tab }, i) => {
    tab.addEventListener("click", () => open(i, false));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) open((i + step + pairs.length) % pairs.length, true);
    });
  });
  open(0, false);
  return holder;
}

function table(columns, rows, caption) {
  const head = h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name)));
  const body = rows.map((row) => h("tr", {}, ...row.map((value) => h("td", {}, String(value)))));
  return h("table", { class: "wb-table" }, h("caption", {}, caption), h("thead", {}, head), h("tbody", {}, ...body));
}

// A text field whose value is sent on Enter or when the reader leaves it.
function field(label, value, width, action) {
  const input = h("input", { type: "text", class: "wb-input", style: `width:${width}em`, value, spellcheck: "false" });
  input.addEventListener("change", () => action(input.value));
  input.addEventListener("keydown", (event) => event.stopPropagation());
  return { node: h("label", { class: "wb-label" }, label, input), input };
}
