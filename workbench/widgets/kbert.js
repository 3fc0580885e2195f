// The explorer of kbert.py: a sentence, a graph, two switches and a layer; the tree, who sees whom, and the attention.

function render({ model, el }) {
  const numbers = () => {
    const { tokens, visible, attention } = view.answer();
    const columns = ["token", "position", "kind", "sees", `attention from ${tokens[chosen][0]}`, "seen by it"];
    const rows = tokens.map(([name, place, , kind], i) => [name, place, kind, visible[i].reduce((sum, value) => sum + value, 0), attention[chosen][i].toFixed(3), visible[chosen][i] ? "yes" : "no"]);
    return [columns, rows, model.get("table").caption || ""];
  };
  const view = explorer(model, el, { numbers });
  const { root, body } = view;
  let chosen = 0; // the token whose row of the matrix is outlined

  const token = choice("Row of", [], "0", (value) => {
    chosen = Number(value);
    redraw();
  });
  const says = h("div", { class: "wb-kb-says", role: "img" });
  const tree = h("div", { class: "wb-kb-scroll", tabindex: 0, role: "region", "aria-label": "Sentence tree" });
  const grids = h("div", { class: "wb-kb-pair" });
  const note = h("p", { class: "wb-says" });
  // The trunk on top, branches below, each token at the position that the encoder is told.
  const drawTree = (tokens, links) => {
    const letter = em(root) * 0.8;
    const last = Math.max(...tokens.map((entry) => entry[1]));
    const widest = Array(last + 1).fill(1);
    for (const [name, place] of tokens) widest[place] = Math.max(widest[place], name.length);
    const left = [];
    let at = 0.5 * letter;
    for (const width of widest) {
      left.push(at + 0.31 * letter * width);
      at += 0.62 * letter * width + 0.9 * letter;
    }
    const y = (row) => (1.3 + 1.9 * row) * letter;
    const height = y(Math.max(...tokens.map((entry) => entry[2]))) + 2.1 * letter;
    const picture = svg("svg", { class: "wb-kb-tree", width: at, height, viewBox: `0 0 ${at} ${height}`, role: "img", "aria-label": "The sentence tree; every token and its position are in the table" });
    picture.style.fontSize = `${letter}px`;
    for (const [owner, branch] of links) {
      const [a, b] = [tokens[owner], tokens[branch]];
      picture.append(svg("path", { class: "wb-kb-link", d: `M${left[a[1]]},${y(a[2]) + 0.35 * letter} L${left[b[1]]},${y(b[2]) - 0.95 * letter}` }));
    }
    for (const [name, place, row, kind] of tokens) {
      picture.append(svg("text", { class: `wb-kb-${kind}`, x: left[place], y: y(row), "text-anchor": "middle" }, name));
    }
    for (let place = 0; place <= last; place += 1) {
      picture.append(svg("text", { class: "wb-kb-place", x: left[place], y: height - 0.4 * letter, "text-anchor": "middle" }, place));
    }
    tree.replaceChildren(picture);
  };

  // One square a pair of tokens. value(i, j) in 0..1 is its darkness; what may not be seen is grey.
  const grid = (name, tokens, visible, value) => {
    const n = tokens.length;
    const side = Math.max(6, Math.min(18, Math.floor(420 / n)));
    const picture = svg("svg", { width: n * side + 2, height: n * side + 2, viewBox: `-1 -1 ${n * side + 2} ${n * side + 2}`, role: "img", "aria-label": name });
    for (let i = 0; i < n; i += 1) {
      for (let j = 0; j < n; j += 1) {
        const cell = svg("rect", { x: j * side, y: i * side, width: side - 1, height: side - 1, class: visible[i][j] ? "wb-kb-cell" : "wb-kb-hidden" });
        if (visible[i][j]) cell.style.opacity = String(value(i, j));
        cell.append(svg("title", {}, `${tokens[i][0]} → ${tokens[j][0]}`));
        cell.addEventListener("click", () => {
          chosen = i;
          redraw();
        });
        picture.append(cell);
      }
    }
    picture.append(svg("rect", { class: "wb-kb-row", x: -0.5, y: chosen * side - 0.5, width: n * side, height: side }));
    return h("div", {}, h("strong", {}, name), h("div", { class: "wb-kb-scroll" }, picture));
  };

  const draw = (answer) => {
    for (const box of [says, tree, grids, note]) box.replaceChildren();
    if (!answer) return "";
    const { tokens, visible, attention, links, prediction, dropped, cut } = answer;
    chosen = Math.min(chosen, tokens.length - 1);
    token.select.replaceChildren(...tokens.map((entry, i) => h("option", { value: String(i) }, `${i}: ${entry[0]}`)));
    token.select.value = String(chosen);
    for (const [label, share] of prediction) {
      const bar = h("div", { class: "wb-kb-bar" });
      bar.style.width = `${100 * share}%`;
      says.append(h("span", {}, label), h("div", {}, bar), h("span", {}, share.toFixed(3)));
    }
    says.setAttribute("aria-label", `The model says ${prediction.map(([label, share]) => `${label} ${share.toFixed(2)}`).join(", ")}`);
    drawTree(tokens, links);
    const most = Math.max(...attention.flat());
    grids.replaceChildren(
      grid("Who sees whom", tokens, visible, () => 0.75),
      grid("Attention", tokens, visible, (i, j) => 0.04 + 0.96 * Math.sqrt(attention[i][j] / most)),
    );
    const seen = visible[chosen].reduce((sum, value) => sum + value, 0);
    const strongest = attention[chosen].map((share, i) => [share, tokens[i][0]]).sort((a, b) => b[0] - a[0]).slice(0, 3);
    let left = dropped ? ` ${dropped} branches did not fit and were left out.` : "";
    if (cut) left += ` The sentence is too long for the picture: tree and prediction are of its first ${tokens.length} tokens only.`;
    note.replaceChildren(h("strong", {}, tokens[chosen][0]), ` sees ${seen} of ${tokens.length} tokens and takes most from ${strongest.map(([share, name]) => `${name} (${share.toFixed(2)})`).join(", ")}.${left}`);
    return `The model says ${prediction[0][0]}, ${prediction[0][1].toFixed(2)}.`;
  };
  const redraw = () => {
    draw(view.answer());
    view.drawTable();
  };
  view.on(["command"], () => { if (model.get("command").kind === "reset") chosen = 0; });
  body.append(h("div", { class: "wb-row" }, token.node), says, tree, note, grids);
  return view.start(draw);
}

export default { render };
