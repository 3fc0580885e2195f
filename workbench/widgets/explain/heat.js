// The heat map of heat.py: tokens as buttons, coloured by score; a click masks one and the probability follows.

const parts = (text) => text.split(",").filter(Boolean).map(Number);

function render({ model, el }) {
  const view = explorer(model, el);
  const { body } = view;
  let at = 0;
  const about = h("p", { class: "wb-hint" });
  const hint = h("p", { class: "wb-hint", id: freshId() }, "Click a token to mask it, again to put it back · arrow keys move, Enter or Space masks · blue speaks for the target, orange against");
  const tokens = h("div", { class: "wb-pieces", role: "group", "aria-label": "The prompt's tokens with their scores", "aria-describedby": hint.id });
  const says = h("p", { class: "wb-says" });
  const check = h("p", { class: "wb-says wb-sum" });
  const next = h("p", { class: "wb-hint" });
  const notes = h("ul", { class: "wb-notes" });
  const unmask = button("Unmask all", () => view.send({ masked: "" }));

  const turn = (index) => {
    const masked = new Set(parts(model.get("masked")));
    if (!masked.delete(index)) masked.add(index);
    at = index;
    view.send({ masked: [...masked].sort((a, b) => a - b).join(",") });
  };
  const nodes = () => [...tokens.children];
  const rove = () => nodes().forEach((node, i) => { node.tabIndex = i === at ? 0 : -1; });
  tokens.addEventListener("keydown", (event) => {
    const here = nodes().indexOf(event.target);
    const there = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: nodes().length - 1 }[event.key];
    if (there === undefined || here < 0) return;
    at = Math.max(0, Math.min(nodes().length - 1, there));
    rove();
    nodes()[at].focus();
    event.preventDefault();
    event.stopPropagation();
  });

  const drawTokens = (now) => {
    const held = tokens.contains(document.activeElement);
    const masked = new Set(parts(model.get("masked")));
    const largest = Math.max(...now.scores.map(Math.abs));
    at = Math.min(at, now.tokens.length - 1);
    tokens.replaceChildren(...now.tokens.map((token, i) => {
      const fixed = now.held.includes(i);
      const state = fixed ? "held" : shown(now.scores[i], 2);
      const node = h("button", {
        type: "button", class: "wb-piece", "data-index": i, "aria-pressed": fixed ? null : String(masked.has(i)),
        "aria-disabled": fixed ? "true" : null, "aria-label": `${token.trim() || visible(token)}, ${fixed ? "held fixed" : `score ${state}`}`,
        title: fixed ? "the first token is where attention rests: it is held fixed" : "click to mask",
        click: () => (fixed ? null : turn(i)),
      }, h("span", {}, visible(token)), h("small", {}, state));
      shade(node, now.scores[i], largest);
      return node;
    }));
    rove();
    if (held) nodes()[at].focus();
  };
  const draw = (now) => {
    for (const node of [says, check, next, notes, about]) node.replaceChildren();
    if (!now) {
      tokens.replaceChildren();
      return "";
    }
    drawTokens(now);
    about.textContent = now.about;
    const masked = now.tokens.filter((_, i) => !now.kept[i]);
    says.append(`p(${visible(now.question.target)}) = `, h("strong", {}, shown(now.p, 4)));
    if (masked.length) {
      const sum = now.scores.reduce((total, score, i) => total + (now.kept[i] ? 0 : score), 0);
      says.append(` → `, h("strong", {}, shown(now.p_left, 4)), ` without ${masked.map(visible).join(" ")}`);
      check.append(`${now.quantity} fell by ${shown(now.full - now.left, 2)}; the scores of the masked tokens add up to ${shown(sum, 2)}`);
    } else {
      check.append(`${now.quantity} ${shown(now.value, 2)}, with everything removed ${shown(now.baseline, 2)}`);
      if (now.gap !== null) check.append(` · completeness gap ${shown(100 * now.gap, 1)} %`);
    }
    next.textContent = `Likeliest next: ${now.next.map(([text, p]) => `${visible(text)} ${shown(p, 2)}`).join(", ")} · ${now.cost.evaluations} evaluations, ${now.cost.seconds} s`;
    notes.append(...now.notes.map((note) => h("li", {}, note)));
    return `The target has probability ${shown(now.p_left)}, unmasked ${shown(now.p)}.`;
  };
  // a token that was clicked is struck at once; its score waits for the kernel
  view.on(["masked"], () => nodes().forEach((node, i) => node.hasAttribute("aria-pressed") && node.setAttribute("aria-pressed", String(parts(model.get("masked")).includes(i)))));
  body.append(h("div", { class: "wb-row" }, unmask), about, tokens, hint, says, check, next, notes);
  return view.start(draw);
}

export default { render };
