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

// The frame around a widget: root element, busy line, error line, a live region for screen readers.
// `asks` names the traits that call for a new answer; the widget waits while the kernel's answer is for something else.
function frame(model, el, asks) {
  const busy = h("span", { class: "wb-busy", role: "status", hidden: true });
  const error = h("div", { class: "wb-error", role: "alert", hidden: true });
  const live = h("div", { class: "wb-unseen", "aria-live": "polite" });
  const body = h("div", { class: "wb-body" });
  // Without this attribute JupyterLab takes h, t, arrows and Backspace for its own shortcuts (d d deletes the cell).
  const root = h("div", { class: "wb", "data-lm-suppress-shortcuts": "true" }, body, error, live);
  el.append(root);

  const waiting = () => {
    const answer = model.get("answer");
    const question = answer.question || {};
    return asks.some((name) => question[name] !== model.get(name)) || (answer.command || 0) !== (model.get("command").n || 0);
  };
  let since = null;
  let clock = null;
  const tick = () => {
    const seconds = Math.floor((Date.now() - since) / 1000);
    busy.hidden = seconds < 1;
    busy.textContent = `the model is working … ${seconds} s`;
  };
  const check = () => {
    const now = waiting();
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
    const sentence = now ? "" : model.get("answer").error || "";
    error.hidden = sentence === "";
    error.textContent = sentence;
    root.classList.toggle("wb-large", model.get("large"));
  };
  // ipywidgets holds edits back while the kernel works and then sends the latest state only, so that one forward runs
  // at a time and a burst of edits costs two.
  const send = (changes) => {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
    check();
  };
  const act = (kind, details = {}) => {
    send({ command: { ...details, kind, n: (model.get("command").n || 0) + 1 } });
  };
  const listening = [];
  const on = (names, action) => {
    for (const name of names) {
      model.on(`change:${name}`, action);
      listening.push([name, action]);
    }
  };
  on([...asks, "command", "answer", "large"], check);
  // Draws now and at every change, by pairs of [traits, what draws them]; gives what takes this view away again, with
  // the `parts` of it that have something to close.
  const start = (pairs, ...parts) => {
    for (const [, draw] of pairs) draw();
    for (const [names, draw] of pairs) on(names, draw);
    return () => {
      for (const part of parts) part.close();
      clearInterval(clock);
      for (const [name, action] of listening) model.off(`change:${name}`, action);
      root.remove();
    };
  };
  check();
  return { root, body, busy, live, waiting, send, act, on, start };
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

// Lines over 0..n with y in [0, 1]; null is a gap. spec: {label, x, y, lines: [{name, kind, values}], dots: {name, values}
// or null, low: whether a lower picture will do, tick: what stands below n on the axis (default: n itself)}.
// Every value is reachable without a mouse: through the widget's table and through mark(n).
function chart(holder, said) {
  const legend = h("div", { class: "wb-legend" });
  const picture = svg("svg", { class: "wb-chart", role: "img" });
  holder.append(legend, picture);
  let spec = null;
  let marked = null;
  let place = null;

  const mark = (n) => {
    marked = n;
    for (const old of picture.querySelectorAll(".wb-mark")) old.remove();
    if (place === null || n === null || n > place.last) return;
    const x = place.x(n);
    picture.append(svg("line", { class: "wb-mark", x1: x, x2: x, y1: place.y(1), y2: place.y(0) }));
    for (const line of spec.lines) {
      const value = line.values[n];
      if (Number.isFinite(value)) picture.append(svg("circle", { class: `wb-mark wb-dot wb-${line.kind}`, cx: x, cy: place.y(value), r: place.em * 0.38 }));
    }
  };

  const draw = () => {
    const width = Math.floor(holder.clientWidth);
    if (spec === null || width < 50) return;
    const em = parseFloat(getComputedStyle(holder).fontSize);
    const height = Math.round(Math.max(11 * em, Math.min(width * 0.42, (spec.low ? 13 : 19) * em)));
    const box = { left: 4.2 * em, right: 1.2 * em, top: 0.9 * em, bottom: 3.4 * em };
    const last = Math.max(1, ...spec.lines.map((line) => line.values.length - 1));
    const x = (n) => box.left + (n / last) * (width - box.left - box.right);
    const y = (value) => box.top + (1 - value) * (height - box.top - box.bottom);
    place = { x, y, last, em };
    picture.replaceChildren();
    dress(picture, { width, height, viewBox: `0 0 ${width} ${height}`, "aria-label": spec.label });
    for (const value of [0, 0.25, 0.5, 0.75, 1]) {
      const kind = value === 0.5 ? "wb-half" : "wb-grid";
      picture.append(svg("line", { class: kind, x1: x(0), x2: x(last), y1: y(value), y2: y(value) }));
      picture.append(svg("text", { class: "wb-tick", x: box.left - 0.5 * em, y: y(value) + 0.32 * em, "text-anchor": "end" }, value));
    }
    const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((s) => (s / last) * (width - box.left - box.right) >= 2.4 * em) || 2000;
    for (let n = 0; n <= last; n += step) {
      picture.append(svg("text", { class: "wb-tick", x: x(n), y: y(0) + 1.35 * em, "text-anchor": "middle" }, spec.tick ? spec.tick(n) : n));
    }
    picture.append(svg("text", { class: "wb-axis", x: (x(0) + x(last)) / 2, y: height - 0.55 * em, "text-anchor": "middle" }, spec.x));
    const upright = `translate(${1.1 * em} ${(y(0) + y(1)) / 2}) rotate(-90)`;
    picture.append(svg("text", { class: "wb-axis", transform: upright, "text-anchor": "middle" }, spec.y));
    if (spec.dots) {
      const side = Math.min(0.5 * em, (0.7 * (width - box.left - box.right)) / last);
      spec.dots.values.forEach((value, n) => {
        picture.append(svg("rect", { class: "wb-next-flip", x: x(n) - side / 2, y: y(value) - side / 2, width: side, height: side }));
      });
    }
    for (const line of spec.lines) {
      const points = line.values.map((value, n) => [n, value]).filter(([, value]) => Number.isFinite(value));
      picture.append(svg("polyline", { class: `wb-line wb-${line.kind}`, points: points.map(([n, value]) => `${x(n)},${y(value)}`).join(" ") }));
      if (last > 120 && points.length > 1) continue;
      for (const [n, value] of points) {
        picture.append(svg("circle", { class: `wb-dot wb-${line.kind}`, cx: x(n), cy: y(value), r: em * (last > 60 ? 0.14 : 0.22) }));
      }
    }
    const keys = spec.lines.map((line) => legendItem(line.name, svg("line", { class: `wb-line wb-${line.kind}`, x1: 0, x2: 28, y1: 6, y2: 6 })));
    if (spec.dots) keys.push(legendItem(spec.dots.name, svg("rect", { class: "wb-next-flip", x: 9, y: 1, width: 10, height: 10 })));
    legend.replaceChildren(...keys);
    mark(marked);
  };
  const legendItem = (name, sample) => {
    const box = svg("svg", { width: 28, height: 12, viewBox: "0 0 28 12", "aria-hidden": "true" });
    box.append(sample);
    return h("span", { class: "wb-key" }, box, name);
  };

  picture.addEventListener("pointermove", (event) => {
    if (place === null) return;
    const at = event.clientX - picture.getBoundingClientRect().left;
    const n = Math.round(((at - place.x(0)) / (place.x(place.last) - place.x(0))) * place.last);
    said(Math.max(0, Math.min(place.last, n)));
  });
  picture.addEventListener("pointerleave", () => said(null));
  const watcher = new ResizeObserver(draw);
  watcher.observe(holder);
  const show = (next) => {
    spec = next;
    if (spec === null) {
      place = null;
      picture.replaceChildren();
      legend.replaceChildren();
    } else draw();
  };
  return { show, mark, close: () => watcher.disconnect() };
}
