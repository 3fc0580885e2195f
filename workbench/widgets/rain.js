// The explorer of rain.py: one search, step by step. The kernel sends the whole search once (nodes, simulations, moves);
// stepping, clicking and drawing are done here, from what each simulation changed.

const two = (value) => (Number.isFinite(value) ? value.toFixed(2) : "–");
const written = (text) => (text === "" ? "∅" : text.replaceAll("\n", "⏎"));
const cut = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

// Visits and values after the first `step` simulations: id -> {n, fn, q}.
function statistics(found, step) {
  const now = new Map();
  for (const search of found.searches.slice(0, step)) {
    for (const [id, [n, fn, q]] of Object.entries(search.changed)) now.set(Number(id), { n, fn, q });
  }
  return now;
}

function render({ model, el }) {
  const numbers = () => {
    const stats = statistics(found(), step);
    const rows = found().nodes.filter((node) => stats.has(node.id)).map((node) => {
      const { n, fn, q } = stats.get(node.id);
      return [node.id, node.parent ?? "", written(node.text), two(q), two(n), fn, two(node.prior), node.value === null ? "" : two(node.value)];
    });
    return [["node", "parent", "tokens", "q", "n", "true visits", "prior", "evaluation"], rows, `Visited nodes after ${step} simulations`];
  };
  const view = explorer(model, el, { numbers });
  const { body, live } = view;
  const found = () => model.get("answer").search || null;
  let step = 0; // simulations shown
  let chosen = null; // the node whose text and value are shown

  // --- the question ---------------------------------------------------------------------------------------------------
  const typed = h("input", { class: "wb-input wb-rain-prompt", type: "text", spellcheck: "false", autocomplete: "off", list: freshId() });
  const examples = h("datalist", { id: typed.getAttribute("list") }, ...model.get("examples").map((text) => h("option", { value: text })));
  const budget = choice("Searches a move", model.get("budgets").map((n) => [String(n), String(n)]), String(model.get("budget")), () => {});
  const ask = () => view.send({ prompt: typed.value, budget: Number(budget.select.value) });
  typed.addEventListener("keydown", (event) => {
    if (event.key === "Enter") ask();
    event.stopPropagation();
  });

  // --- stepping -------------------------------------------------------------------------------------------------------
  const total = () => (found() ? found().searches.length : 0);
  const moveOf = (k) => {
    const now = found();
    if (now === null || now.searches.length === 0) return 0;
    return now.searches[Math.max(0, Math.min(k, now.searches.length) - 1)].move;
  };
  const go = (k, words = true) => {
    step = Math.max(0, Math.min(k, total()));
    draw();
    if (words) live.textContent = says.textContent;
  };
  const boundary = (direction) => {
    const now = found();
    if (now === null) return;
    const ends = now.searches.map((search, i) => [search.move, i + 1]);
    const last = new Map(ends); // the last simulation of each move
    const stops = [0, ...last.values()];
    go(direction > 0 ? stops.find((k) => k > step) ?? total() : stops.findLast((k) => k < step) ?? 0);
  };
  const slider = h("input", { class: "wb-rain-slider", type: "range", min: 0, max: 0, value: 0, "aria-label": "Simulation" });
  slider.addEventListener("input", () => go(slider.valueAsNumber));
  slider.addEventListener("keydown", (event) => event.stopPropagation());
  const back = button("◀", () => go(step - 1), { "aria-label": "Previous simulation", title: "previous simulation" });
  const next = button("▶", () => go(step + 1), { "aria-label": "Next simulation", title: "next simulation" });
  const backMove = button("◀◀", () => boundary(-1), { "aria-label": "Previous move", title: "previous move" });
  const nextMove = button("▶▶", () => boundary(1), { "aria-label": "Next move", title: "next move" });

  // --- what is shown --------------------------------------------------------------------------------------------------
  const says = h("p", { class: "wb-says" });
  const text = h("p", { class: "wb-rain-text" });
  const tree = svg("svg", { class: "wb-rain-tree", role: "group" });
  const treeBox = h("div", { class: "wb-rain-scroll", tabindex: 0, role: "region", "aria-label": "Search tree" }, tree);
  const detail = h("div", { class: "wb-rain-detail", role: "region", "aria-label": "The chosen node" });
  const valueHolder = h("div");
  const curve = chart(valueHolder, () => {});
  const panels = tabs("What to look at", [
    ["Tree", h("div", { class: "wb-rain-pair" }, treeBox, detail)],
    ["Values", h("div", {}, valueHolder)],
  ]);

  const committed = (now, upTo) => now.moves.slice(0, upTo).map((move) => move.text).join("");
  const children = (now, id) => now.nodes.filter((node) => node.parent === id);

  const drawTree = (now, stats, rootId, path) => {
    const letter = em(treeBox);
    const [wide, high] = [9.5 * letter, 2.6 * letter];
    const places = new Map();
    let row = 0;
    const put = (id, depth) => {
      const below = children(now, id).filter((node) => stats.has(node.id));
      const rows = below.map((node) => put(node.id, depth + 1));
      const at = rows.length ? (rows[0] + rows.at(-1)) / 2 : row++;
      places.set(id, { x: 1.6 * letter + depth * wide, y: (at + 0.6) * high, depth, unvisited: children(now, id).length - below.length });
      return at;
    };
    put(rootId, 0);
    const deepest = Math.max(...[...places.values()].map((place) => place.depth));
    const [width, height] = [(deepest + 1) * wide + 2 * letter, (row + 0.5) * high];
    tree.replaceChildren();
    dress(tree, { width, height, viewBox: `0 0 ${width} ${height}`, "aria-label": `${places.size} visited nodes below the present text` });
    for (const [id, place] of places) {
      const node = now.nodes[id];
      if (id === rootId) continue;
      const from = places.get(node.parent);
      const middle = (from.x + place.x) / 2;
      tree.append(svg("path", { class: path.includes(id) ? "wb-rain-edge wb-rain-now" : "wb-rain-edge", d: `M${from.x},${from.y} C${middle},${from.y} ${middle},${place.y} ${place.x},${place.y}` }));
    }
    for (const [id, place] of places) {
      const node = now.nodes[id];
      const { n, q } = stats.get(id) || { n: 0, q: 0 };
      const name = id === rootId ? "the text so far" : `“${written(node.text)}”`;
      const group = svg("g", {
        class: id === chosen ? "wb-rain-node wb-rain-chosen" : "wb-rain-node", tabindex: 0, role: "button", "data-node": id,
        "aria-label": `${name}: value ${two(q)}, ${two(n)} visits`,
      });
      const radius = letter * Math.min(0.95, 0.3 + 0.14 * Math.sqrt(n));
      group.append(svg("rect", { class: "wb-rain-hit", x: place.x - 1.1 * letter, y: place.y - 1.1 * letter, width: wide - 0.4 * letter, height: 2.3 * letter }));
      const kind = q > 0.05 ? "good" : q < -0.05 ? "bad" : "even";
      group.append(svg("circle", { class: `wb-rain-dot wb-rain-${kind}`, cx: place.x, cy: place.y, r: radius, "fill-opacity": 0.25 + 0.75 * Math.min(1, Math.abs(q)) }));
      const label = id === rootId ? "(text so far)" : cut(written(node.text), 18);
      group.append(svg("text", { class: "wb-rain-label", x: place.x + radius + 0.25 * letter, y: place.y - 0.1 * letter }, label));
      group.append(svg("text", { class: "wb-rain-small", x: place.x + radius + 0.25 * letter, y: place.y + 0.95 * letter }, `q ${two(q)} · n ${two(n)}`));
      const choose = () => {
        chosen = id;
        draw();
        tree.querySelector(`[data-node="${id}"]`)?.focus();
      };
      group.addEventListener("click", choose);
      group.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        event.stopPropagation();
        choose();
      });
      tree.append(group);
    }
    return places;
  };

  const drawDetail = (now, stats, rootId) => {
    if (chosen === null || !now.nodes[chosen]) {
      detail.replaceChildren(h("p", { class: "wb-hint" }, "Click a node for its text and its evaluation."));
      return;
    }
    const node = now.nodes[chosen];
    const before = [];
    for (let id = node.parent; id !== null && id !== undefined; id = now.nodes[id].parent) before.unshift(now.nodes[id].text);
    const { n, fn, q } = stats.get(chosen) || { n: 0, fn: 0, q: 0 };
    const line = (name, value) => h("p", { class: "wb-rain-line" }, h("span", { class: "wb-hint" }, name), " ", value);
    const waiting = children(now, chosen).filter((child) => !stats.has(child.id)).length;
    detail.replaceChildren(
      line("tokens", h("strong", {}, node.parent === null ? "(the prompt's end)" : written(node.text))),
      line("after", cut(written(before.join("")) || "∅", 400)),
      line("evaluated", node.evaluated === null ? "not yet" : cut(written(node.evaluated), 600)),
      line("its evaluation", node.value === null ? "–" : two(node.value)),
      line("mean value q", two(q)),
      line("visits n / true", `${two(n)} / ${fn}`),
      line("prior p", two(node.prior)),
      line("children", `${children(now, chosen).length - waiting} visited, ${waiting} not`),
    );
  };

  const draw = () => {
    const now = found();
    slider.max = total();
    slider.value = step;
    for (const node of [slider, back, next, backMove, nextMove]) node.disabled = total() === 0;
    tree.replaceChildren();
    says.replaceChildren();
    text.replaceChildren();
    if (now === null) {
      detail.replaceChildren();
      curve.show(null);
      return;
    }
    const done = step === total();
    const move = moveOf(step);
    const ended = step > 0 && (done || now.searches[step].move !== move); // this simulation was the move's last
    const rootId = move === 0 ? 0 : now.moves[move - 1].node;
    const stats = statistics(now, step);
    const last = step > 0 ? now.searches[step - 1] : null;
    const path = last ? last.path : [];
    if (last) {
      says.append(`Move ${move + 1} of ${now.moves.length}, simulation ${step} of ${total()}: “${cut(written(last.text), 160)}” is worth `, h("strong", {}, two(last.value)));
      if (ended && now.moves[move]) says.append(` · committed: “${written(now.moves[move].text)}”`);
    } else says.append(`${total()} simulations in ${now.moves.length} moves: step on with ▶`);
    text.append(h("span", { class: "wb-rain-asked" }, now.prompt), " ", h("strong", {}, committed(now, ended ? move + 1 : move)));
    if (done) text.append(h("span", { class: "wb-hint" }, ` (the reply; ${now.finish})`));
    drawTree(now, stats, rootId, path);
    drawDetail(now, stats, rootId);
    view.drawTable();
    curve.mark(step > 0 ? step - 1 : null);
  };
  const drawValues = (now) => {
    if (now === null || now.searches.length === 0) {
      curve.show(null);
      return;
    }
    const values = now.searches.map((search) => (search.value + 1) / 2);
    const mean = values.map((_, i) => values.slice(Math.max(0, i - 4), i + 1).reduce((a, b) => a + b, 0) / Math.min(5, i + 1));
    curve.show({
      label: `The value of each of ${values.length} simulations and the mean of the last five. All values are in the table.`,
      x: "simulation (from 0)", y: "(value + 1) / 2",
      lines: [{ name: "a simulation's value", kind: "faint", values }, { name: "mean of the last five", kind: "first", values: mean }],
      dots: null,
    });
  };
  let answered = null; // the search on the page: a new one is shown from its end
  const drawAnswer = () => {
    const now = found();
    if (now !== answered) {
      answered = now;
      step = total();
      chosen = null;
      drawValues(now);
    }
    draw();
    return now ? `The reply is: ${now.reply}` : "";
  };
  const drawQuestion = () => {
    typed.value = model.get("prompt");
    budget.select.value = String(model.get("budget"));
  };

  body.append(
    h("div", { class: "wb-row" }, h("label", { class: "wb-label wb-rain-wide" }, "Prompt", typed), examples, budget.node, button("Search", ask)),
    h("div", { class: "wb-row" }, backMove, back, slider, next, nextMove),
    text,
    says,
    panels,
  );
  drawQuestion();
  view.on(["prompt", "budget", "command"], drawQuestion);
  return view.start(drawAnswer, [curve]);
}

export default { render };
