// The heat map of explain.py: tokens as buttons, coloured by score; a click masks one and the probability follows.

const ASKS = ["prompt", "target", "foil", "method", "removal", "masked"];
const parts = (text) => text.split(",").filter(Boolean).map(Number);

function render({ model, el }) {
  const view = frame(model, el, ASKS);
  const { body, live } = view;
  const answer = () => model.get("answer");
  let asked = false; // whether this view asked: only then is the answer announced
  let at = 0;

  const ask = () => {
    asked = true;
    view.act("ask", { prompt: prompt.input.value, target: target.input.value, foil: foil.input.value });
  };
  const prompt = field("Prompt", model.get("prompt"), 22, ask);
  const target = field("Target", model.get("target"), 6, ask);
  const foil = field("rather than", model.get("foil"), 6, ask);
  const send = (changes) => {
    asked = true;
    view.send(changes);
  };
  const method = choice("Method", model.get("methods").map(([name, title]) => [name, title]), model.get("method"), (value) => send({ method: value }));
  const removal = choice("A masked token is", [["replace", "replaced by a neutral one"], ["delete", "left out"]], model.get("removal"), (value) => send({ removal: value }));
  const about = h("p", { class: "wb-hint" });
  const hint = h("p", { class: "wb-hint", id: freshId() }, "Click a token to mask it, again to put it back · arrow keys move, Enter or Space masks · blue speaks for the target, orange against");
  const tokens = h("div", { class: "wb-pieces", role: "group", "aria-label": "The prompt's tokens with their scores", "aria-describedby": hint.id });
  const says = h("p", { class: "wb-says" });
  const check = h("p", { class: "wb-says wb-check" });
  const next = h("p", { class: "wb-hint" });
  const notes = h("ul", { class: "wb-notes" });
  const set = tools(model, view, () => {
    const now = answer();
    if (!now.tokens) return null;
    const state = (i) => (now.held.includes(i) ? "held" : now.kept[i] ? "" : "masked");
    return [["position", "token", "score", "state"], now.tokens.map((token, i) => [i, visible(token), shown(now.scores[i], 4), state(i)]), `${now.model}, ${now.question.method}, ${now.quantity}`];
  });
  const unmask = button("Unmask all", () => send({ masked: "" }));

  const turn = (index) => {
    const masked = new Set(parts(model.get("masked")));
    if (!masked.delete(index)) masked.add(index);
    at = index;
    send({ masked: [...masked].sort((a, b) => a - b).join(",") });
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

  const drawTokens = () => {
    const now = answer();
    const held = tokens.contains(document.activeElement);
    if (!now.tokens) {
      tokens.replaceChildren();
      return;
    }
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
  const draw = () => {
    const now = answer();
    drawTokens();
    for (const node of [says, check, next]) node.replaceChildren();
    notes.replaceChildren();
    if (now.tokens) {
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
    }
    set.draw();
    if (asked && !view.waiting()) {
      asked = false;
      live.textContent = now.error || (now.tokens ? `The target has probability ${shown(now.p_left)}, unmasked ${shown(now.p)}.` : "");
    }
  };
  const controls = () => {
    prompt.input.value = model.get("prompt");
    target.input.value = model.get("target");
    foil.input.value = model.get("foil");
    method.select.value = model.get("method");
    removal.select.value = model.get("removal");
    about.textContent = (model.get("methods").find(([name]) => name === model.get("method")) || [])[2] || "";
    nodes().forEach((node, i) => node.hasAttribute("aria-pressed") && node.setAttribute("aria-pressed", String(parts(model.get("masked")).includes(i))));
  };
  body.append(
    h("div", { class: "wb-row" }, prompt.node, target.node, foil.node),
    h("div", { class: "wb-row" }, method.node, removal.node, unmask),
    set.row, about, tokens, hint, says, check, next, notes, set.box,
  );
  return view.start([[ASKS, controls], [["answer"], draw]]);
}

export default { render };
