// The layer slider of layers.py: one slider over the logit lens and the patching grid.

function render({ model, el }) {
  const view = explorer(model, el);
  const { body, send } = view;
  const answer = () => model.get("answer");
  const part = choice("Patched", [["stream", "whole stream"], ["attention", "attention's output"], ["mlp", "MLP's output"]], model.get("part"), (value) => send({ part: value }));
  const says = h("p", { class: "wb-says" });
  const curveHolder = h("div");
  const curve = chart(curveHolder, () => {});
  const strip = h("div", { class: "wb-pieces", role: "list", "aria-label": "What the lens reads at each position of this layer" });
  const lensMap = heatMap((r, c) => send({ layer: answer().layers[r], position: c }), () => {});
  const saysPatch = h("p", { class: "wb-says" });
  const patchMap = heatMap((r, c) => send({ layer: answer().patching.layers[r], position: answer().patching.positions[c] }), (r, c) => sayPatch(r, c));
  const lens = h("div", {}, h("p", { class: "wb-hint" }, "Each cell: the likeliest next token there; the bluer, the more probable the answer. Arrow keys walk, Enter picks."), says, strip, curveHolder, lensMap.node);
  const patching = h("div", {}, h("p", { class: "wb-hint" }, "The corrupted prompt is run with one cell taken from the clean run: 1 recovers the clean answer, 0 does nothing (blue; orange: below 0)."), h("div", { class: "wb-row" }, part.node), saysPatch, patchMap.node);
  const panels = [["lens", "Logit lens", lens], ["patching", "Patching", patching]];
  let ready = false; // the panels tell which is shown; the first time that is not the reader's wish
  const tabbed = tabs("What to look at", panels.map(([name, title, panel]) => [title, panel, () => {
    if (ready && model.get("show") !== name) send({ show: name });
  }]));

  const place = () => {
    const now = answer();
    return now.question.position < 0 ? now.tokens.length + now.question.position : now.question.position;
  };
  const sayPatch = (r, c) => {
    const now = answer();
    const patch = now.patching;
    saysPatch.replaceChildren();
    if (!patch) return;
    const i = patch.positions[c];
    saysPatch.append(`Layer ${patch.layers[r]}, “${visible(patch.tokens_corrupt[i])}” ← “${visible(now.tokens[i])}”: recovers `, h("strong", {}, shown(patch.recovery[r][c])), ` of ${shown(patch.clean_value, 2)} against ${shown(patch.corrupt_value, 2)} (logit of answer − foil) · ${patch.runs} runs, ${patch.seconds} s`);
  };
  const draw = (now) => {
    controls();
    if (!now) {
      for (const node of [says, saysPatch, strip]) node.replaceChildren();
      curve.show(null);
      lensMap.show(null);
      patchMap.show(null);
      return "";
    }
    const at = now.layers.indexOf(now.question.layer);
    const i = place();
    says.replaceChildren(`Layer ${now.question.layer}, after “${visible(now.tokens[i])}”: p(${visible(now.question.target)}) = `, h("strong", {}, shown(now.lens.probability[at][i])), `, rank ${now.lens.rank[at][i]} (0 is first) · likeliest ${now.top.map(([text, p]) => `${visible(text)} ${shown(p, 2)}`).join(", ")}`);
    strip.replaceChildren(...now.tokens.map((token, k) => {
      const node = h("span", { class: "wb-piece", role: "listitem" }, h("small", {}, visible(token)), h("span", {}, `→${visible(now.lens.top[at][k])}`), h("small", {}, shown(now.lens.top_probability[at][k], 2)));
      shade(node, now.lens.probability[at][k], 1);
      return node;
    }));
    curve.show({
      label: `Probability of the answer after each layer; at layer ${now.question.layer} it is ${shown(now.lens.probability[at][i])}.`,
      x: "layer (0: embedding)", y: "p(target), lens", low: true, dots: null,
      lines: [{ name: `p(${visible(now.question.target)}) after “${visible(now.tokens[i])}”`, kind: "first", values: now.lens.probability.map((row) => row[i]) }],
    });
    curve.mark(at);
    const columns = now.tokens.map(visible);
    lensMap.show({ rows: now.layers, columns, values: now.lens.probability, largest: 1, row: at, text: (_, r, c) => visible(now.lens.top[r][c]), label: "Logit lens: layers by positions; the numbers of the chosen layer are in the table" });
    const patch = now.patching;
    patchMap.show(patch ? { rows: patch.layers, columns: patch.positions.map((p) => columns[p]), values: patch.recovery, largest: 1, row: patch.layers.indexOf(now.question.layer), text: (value) => shown(value, 2), label: "Patching: layers by positions, share of the answer recovered" } : null);
    if (patch) {
      const row = patch.layers.indexOf(now.question.layer);
      const column = patch.positions.indexOf(i);
      if (row >= 0 && column >= 0) patchMap.go(row, column);
    }
    lensMap.go(at, i);
    return `Layer ${now.question.layer}: the answer has probability ${shown(now.lens.probability[at][i])}.`;
  };
  const controls = () => {
    part.select.value = model.get("part");
    const index = panels.findIndex(([name]) => name === model.get("show"));
    const tab = tabbed.querySelectorAll("[role=tab]")[index];
    if (tab.getAttribute("aria-selected") !== "true") tab.click();
  };
  view.on(["part", "show"], controls);
  body.append(tabbed);
  const end = view.start(draw, [curve]);
  ready = true;
  return end;
}

export default { render };
