// Attention heads of attention.py: small pictures on canvas (one pixel a weight), the chosen head as a heat map.

function render({ model, el }) {
  const view = explorer(model, el);
  const { root, body, send } = view;
  root.classList.add("wb-attention");
  const gallery = h("div", { class: "wb-heads", role: "radiogroup", "aria-label": "Heads of this layer" });
  const says = h("p", { class: "wb-says" });
  const sayCell = (r, c) => {
    const now = view.answer();
    if (!now) return;
    const from = now.tokens.length - 1 - r; // the map's first row is drawn at the bottom
    says.replaceChildren(`Head ${now.question.head}: from “${visible(now.tokens[from])}” to “${visible(now.tokens[c])}” `, h("strong", {}, shown(now.heads[now.question.head - 1][from][c])), ` · weight on the first token ${shown(now.sinks[now.question.head - 1], 2)} · looks ${shown(now.far[now.question.head - 1], 1)} tokens back`);
  };
  const map = heatMap(() => {}, sayCell);
  const paint = (canvas, weights) => {
    const side = weights.length;
    canvas.width = side;
    canvas.height = side;
    const paper = canvas.getContext("2d");
    const pixels = paper.createImageData(side, side);
    weights.forEach((row, q) => row.forEach((weight, k) => {
      const share = Math.sqrt(weight); // small weights are seen too; the numbers are in the map and the table
      pixels.data.set([255 - 255 * share, 255 - 141 * share, 255 - 77 * share, 255], 4 * (q * side + k));
    }));
    paper.putImageData(pixels, 0, 0);
  };
  const pick = (index) => {
    send({ head: index + 1 });
    drawn()[index].focus();
  };
  const drawn = () => [...gallery.children];
  gallery.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const count = drawn().length;
    pick((model.get("head") - 1 + step + count) % count);
    event.preventDefault();
    event.stopPropagation();
  });
  const drawGallery = (now) => {
    if (drawn().length !== now.head_count) {
      gallery.replaceChildren(...now.heads.map((_, i) => h("button", { type: "button", role: "radio", class: "wb-head", "data-head": i + 1, click: () => pick(i) }, h("canvas", { "aria-hidden": "true" }), h("span", {}))));
    }
    drawn().forEach((node, i) => {
      paint(node.querySelector("canvas"), now.heads[i]);
      node.querySelector("span").textContent = `${i + 1} · sink ${shown(now.sinks[i], 2)}`;
      node.setAttribute("aria-label", `head ${i + 1}, weight on the first token ${shown(now.sinks[i], 2)}`);
    });
    chosen();
  };
  const chosen = () => drawn().forEach((node, i) => {
    node.setAttribute("aria-checked", String(i + 1 === model.get("head")));
    node.tabIndex = i + 1 === model.get("head") ? 0 : -1;
  });
  const draw = (now) => {
    if (!now) {
      gallery.replaceChildren();
      says.replaceChildren();
      map.show(null);
      return "";
    }
    drawGallery(now);
    const names = now.tokens.map(visible);
    const shownHead = now.heads[now.question.head - 1];
    map.show({ rows: [...names].reverse(), columns: names, values: [...shownHead].reverse(), largest: 1, row: -1, text: (value) => (value >= 0.005 ? shown(value, 2) : ""), label: `Head ${now.question.head}: rows look at columns; all weights are in the table` });
    sayCell(...map.at());
    return `Layer ${now.question.layer}, head ${now.question.head}.`;
  };
  view.on(["head"], chosen);
  body.append(
    h("p", { class: "wb-hint" }, "Each small picture is a head: rows look at columns. Click one, or walk with the arrow keys; walk the large one too."),
    gallery, says, map.node,
  );
  return view.start(draw);
}

export default { render };
