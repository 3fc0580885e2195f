// Attention heads of explain_attention.py: small pictures on canvas (one pixel a weight), the chosen head as a heat map.

const ASKS = ["prompt", "layer", "head", "sink"];

function render({ model, el }) {
  const view = frame(model, el, ASKS);
  const { root, body, live } = view;
  root.classList.add("wb-attention");
  const answer = () => model.get("answer");
  let asked = false;
  const send = (changes) => {
    asked = true;
    view.send(changes);
  };
  const prompt = field("Prompt", model.get("prompt"), 30, (value) => send({ prompt: value }));
  const layer = slider("Layer", { min: 1, max: 1, step: 1 }, (value) => send({ layer: value }));
  const reading = h("output", {});
  layer.node.append(reading);
  const sink = h("input", { type: "checkbox", change: () => send({ sink: sink.checked }) });
  const gallery = h("div", { class: "wb-heads", role: "radiogroup", "aria-label": "Heads of this layer" });
  const says = h("p", { class: "wb-says" });
  const sayCell = (r, c) => {
    const now = answer();
    if (!now.heads) return;
    const from = now.tokens.length - 1 - r; // the map's first row is drawn at the bottom
    says.replaceChildren(`Head ${now.question.head}: from “${visible(now.tokens[from])}” to “${visible(now.tokens[c])}” `, h("strong", {}, shown(now.heads[now.question.head][from][c])), ` · weight on the first token ${shown(now.sinks[now.question.head], 2)} · looks ${shown(now.far[now.question.head], 1)} tokens back`);
  };
  const map = heatMap(() => {}, sayCell);
  const set = tools(model, view, () => {
    const now = answer();
    if (!now.heads) return null;
    const names = now.tokens.map((token, i) => `${i} ${visible(token)}`);
    return [["query", ...names], now.heads[now.question.head].map((row, i) => [names[i], ...row.map((weight) => shown(weight))]), `${now.model}, layer ${now.question.layer}, head ${now.question.head}`];
  });
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
    send({ head: index });
    drawn()[index].focus();
  };
  const drawn = () => [...gallery.children];
  gallery.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const count = drawn().length;
    pick((model.get("head") + step + count) % count);
    event.preventDefault();
    event.stopPropagation();
  });
  const drawGallery = () => {
    const now = answer();
    if (drawn().length !== now.head_count) {
      gallery.replaceChildren(...now.heads.map((_, i) => h("button", { type: "button", role: "radio", class: "wb-head", "data-head": i, click: () => pick(i) }, h("canvas", { "aria-hidden": "true" }), h("span", {}))));
    }
    drawn().forEach((node, i) => {
      paint(node.querySelector("canvas"), now.heads[i]);
      node.querySelector("span").textContent = `${i} · sink ${shown(now.sinks[i], 2)}`;
      node.setAttribute("aria-label", `head ${i}, weight on the first token ${shown(now.sinks[i], 2)}`);
    });
    chosen();
  };
  const chosen = () => drawn().forEach((node, i) => {
    node.setAttribute("aria-checked", String(i === model.get("head")));
    node.tabIndex = i === model.get("head") ? 0 : -1;
  });
  const draw = () => {
    const now = answer();
    set.draw();
    if (!now.heads) {
      gallery.replaceChildren();
      says.replaceChildren();
      map.show(null);
      return;
    }
    layer.input.max = now.layers;
    layer.input.value = now.question.layer;
    drawGallery();
    const names = now.tokens.map(visible);
    const shownHead = now.heads[now.question.head];
    map.show({ rows: [...names].reverse(), columns: names, values: [...shownHead].reverse(), largest: 1, row: -1, text: (value) => (value >= 0.005 ? shown(value, 2) : ""), label: `Head ${now.question.head}: rows look at columns; all weights are in the table` });
    sayCell(...map.at());
    if (asked && !view.waiting()) {
      asked = false;
      live.textContent = now.error || `Layer ${now.question.layer}, head ${now.question.head}.`;
    }
  };
  const controls = () => {
    prompt.input.value = model.get("prompt");
    layer.input.value = model.get("layer");
    reading.textContent = model.get("layer");
    sink.checked = model.get("sink");
    chosen();
  };
  body.append(
    h("div", { class: "wb-row" }, prompt.node),
    set.row,
    h("div", { class: "wb-row" }, layer.node, h("label", { class: "wb-label" }, sink, "Show the attention sink (first token)")),
    h("p", { class: "wb-hint" }, "Each small picture is a head: rows look at columns. Click one, or walk with the arrow keys; walk the large one too."),
    gallery, says, map.node, set.box,
  );
  return view.start([[ASKS, controls], [["answer"], draw]]);
}

export default { render };
