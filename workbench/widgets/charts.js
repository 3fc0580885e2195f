// Charts of the widgets: lines in SVG, heat maps that one can walk by keyboard. All numbers come from the kernel's answer.

const shown = (value, digits = 3) => (Number.isFinite(value) ? value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1") : "–");
const visible = (token) => token.replaceAll("\n", "↵").replaceAll("\t", "⇥").replaceAll(" ", "␣") || "∅";

// Blue speaks for, orange against; the share of the largest value is the strength. The number is always written too.
function shade(node, value, largest) {
  const share = Number.isFinite(value) && largest > 0 ? Math.min(1, Math.abs(value) / largest) : 0;
  node.classList.toggle("wb-for", value > 0);
  node.classList.toggle("wb-against", value < 0);
  node.style.setProperty("--wb-share", share.toFixed(3));
}

// Lines over 0..n with y in [0, 1]; null is a gap. spec: {label, x, y, lines: [{name, kind, values}], dots: {name, values}
// or null, low: whether a lower picture will do, tick: what stands below n on the axis (default: n itself), places: where
// each n stands on the axis, ascending (default: n itself), top: the upper end of y (default 1)}. A line without a name
// is left out of the legend.
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
    picture.append(svg("line", { class: "wb-mark", x1: x, x2: x, y1: place.y(place.top), y2: place.y(0) }));
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
    const top = spec.top || 1;
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => [share * top, String(Number((share * top).toPrecision(2)))]);
    const longest = Math.max(...ticks.map(([, text]) => text.length)); // the axis' name stands left of it
    const box = { left: Math.max(4.2, 2.3 + 0.52 * longest) * em, right: 1.2 * em, top: 0.9 * em, bottom: 3.4 * em };
    const last = Math.max(1, ...spec.lines.map((line) => line.values.length - 1));
    const at = (n) => (spec.places ? spec.places[n] : n);
    const x = (n) => box.left + ((at(n) - at(0)) / (at(last) - at(0))) * (width - box.left - box.right);
    const y = (value) => box.top + (1 - value / top) * (height - box.top - box.bottom);
    place = { x, y, last, em, top };
    picture.replaceChildren();
    dress(picture, { width, height, viewBox: `0 0 ${width} ${height}`, "aria-label": spec.label });
    for (const [value, text] of ticks) {
      const kind = value === 0.5 ? "wb-half" : "wb-grid";
      picture.append(svg("line", { class: kind, x1: x(0), x2: x(last), y1: y(value), y2: y(value) }));
      picture.append(svg("text", { class: "wb-tick", x: box.left - 0.5 * em, y: y(value) + 0.32 * em, "text-anchor": "end" }, text));
    }
    const step = spec.places ? 1 : [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((s) => (s / last) * (width - box.left - box.right) >= 2.4 * em) || 2000;
    for (let n = 0; n <= last; n += step) {
      picture.append(svg("text", { class: "wb-tick", x: x(n), y: y(0) + 1.35 * em, "text-anchor": "middle" }, spec.tick ? spec.tick(n) : n));
    }
    picture.append(svg("text", { class: "wb-axis", x: (x(0) + x(last)) / 2, y: height - 0.55 * em, "text-anchor": "middle" }, spec.x));
    const upright = `translate(${1.1 * em} ${(y(0) + y(top)) / 2}) rotate(-90)`;
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
    const keys = spec.lines.filter((line) => line.name).map((line) => legendItem(line.name, svg("line", { class: `wb-line wb-${line.kind}`, x1: 0, x2: 28, y1: 6, y2: 6 })));
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
    let nearest = 0;
    for (let n = 1; n <= place.last; n += 1) if (Math.abs(place.x(n) - at) < Math.abs(place.x(nearest) - at)) nearest = n;
    said(nearest);
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

// A heat map: spec = {rows: [names], columns: [names], values: [[…]], label, largest, row, column, text: (value) -> str}.
// Arrow keys walk, Enter or a click picks; `pick(row, column)` is told, and `say(row, column)` of every step.
function heatMap(pick, say) {
  const node = h("div", { class: "wb-map", tabindex: 0, role: "application", "aria-roledescription": "heat map" });
  let spec = null;
  let at = [0, 0];
  const mark = () => {
    for (const cell of node.querySelectorAll(".wb-cell")) {
      const [row, column] = [Number(cell.dataset.r), Number(cell.dataset.c)];
      cell.toggleAttribute("data-at", row === at[0] && column === at[1]);
      cell.toggleAttribute("data-row", row === spec.row);
    }
  };
  const go = (row, column) => {
    if (!spec) return;
    at = [Math.max(0, Math.min(spec.rows.length - 1, row)), Math.max(0, Math.min(spec.columns.length - 1, column))];
    mark();
    say(...at);
  };
  node.addEventListener("keydown", (event) => {
    // the first row is drawn at the bottom: up is the next layer
    const step = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (step) go(at[0] + step[0], at[1] + step[1]);
    else if (event.key === "Enter" || event.key === " ") pick(...at);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  node.addEventListener("click", (event) => {
    const cell = event.target.closest(".wb-cell");
    if (!cell) return;
    go(Number(cell.dataset.r), Number(cell.dataset.c));
    pick(...at);
  });
  const show = (next) => {
    spec = next;
    node.replaceChildren();
    if (!spec) return;
    at = [Math.min(at[0], spec.rows.length - 1), Math.min(at[1], spec.columns.length - 1)];
    node.setAttribute("aria-label", spec.label);
    node.style.setProperty("--wb-columns", spec.columns.length);
    spec.rows.forEach((name, r) => {
      const line = h("div", { class: "wb-map-row" }, h("span", { class: "wb-map-name" }, String(name)));
      spec.values[r].forEach((value, c) => {
        const cell = h("span", { class: "wb-cell", "data-r": r, "data-c": c, title: `${name}, ${spec.columns[c]}: ${shown(value)}` }, spec.text ? spec.text(value, r, c) : "");
        shade(cell, value, spec.largest);
        line.append(cell);
      });
      node.prepend(line);
    });
    node.append(h("div", { class: "wb-map-row" }, h("span", { class: "wb-map-name" }), ...spec.columns.map((name) => h("span", { class: "wb-map-foot" }, name))));
    mark();
  };
  return { node, show, at: () => at, go };
}
