// What the explainability widgets share: tokens as buttons, a heat map one can walk by keyboard, the row of tools.
// All numbers come from the kernel's `answer`.

const shown = (value, digits = 3) => (Number.isFinite(value) ? value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1") : "–");
const visible = (token) => token.replaceAll("\n", "↵").replaceAll("\t", "⇥").replaceAll(" ", "␣") || "∅";

// Blue speaks for, orange against; the share of the largest value is the strength. The number is always written too.
function shade(node, value, largest) {
  const share = Number.isFinite(value) && largest > 0 ? Math.min(1, Math.abs(value) / largest) : 0;
  node.classList.toggle("wb-for", value > 0);
  node.classList.toggle("wb-against", value < 0);
  node.style.setProperty("--wb-share", share.toFixed(3));
}

// Reset, Table, Large type, PNG, HTML and the busy line; `numbers()` gives [columns, rows, caption] of the open table;
// `take(format)` saves what the kernel exports in that format.
function tools(model, view, numbers) {
  const box = h("div", { class: "wb-scroll", tabindex: 0, role: "region", "aria-label": "Table of the numbers", hidden: true });
  const draw = () => {
    if (box.hidden) return;
    const found = numbers();
    box.replaceChildren(...(found ? [table(...found)] : []));
  };
  const toggle = button("Table", () => {
    box.hidden = !box.hidden;
    toggle.setAttribute("aria-pressed", String(!box.hidden));
    draw();
  }, { "aria-pressed": "false" });
  const large = button("Large type", () => view.send({ large: !model.get("large") }));
  const drawLarge = () => large.setAttribute("aria-pressed", String(model.get("large")));
  let wanted = null; // the number of this view's own request: another view of the same widget saves nothing
  const take = (format) => {
    view.act("export", { format });
    wanted = model.get("command").n;
  };
  view.on(["exported"], () => {
    const file = model.get("exported");
    if (file.n !== wanted) return;
    const bytes = Uint8Array.from(atob(file.data), (letter) => letter.charCodeAt(0));
    const address = URL.createObjectURL(new Blob([bytes], { type: file.kind }));
    const link = h("a", { href: address, download: file.name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  });
  view.on(["large"], drawLarge);
  drawLarge();
  const row = h("div", { class: "wb-row" },
    button("Reset", () => view.act("reset")), toggle, large,
    button("PNG", () => take("png"), { title: "Save the picture" }),
    button("HTML", () => take("html"), { title: "Save picture and numbers as one page" }), view.busy);
  return { row, box, draw, take };
}

// A text field whose value is sent on Enter or when the reader leaves it.
function field(label, value, width, action) {
  const input = h("input", { type: "text", class: "wb-input", style: `width:${width}em`, value, spellcheck: "false" });
  input.addEventListener("change", () => action(input.value));
  input.addEventListener("keydown", (event) => event.stopPropagation());
  return { node: h("label", { class: "wb-label" }, label, input), input };
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
