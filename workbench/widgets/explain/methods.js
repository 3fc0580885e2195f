// Methods side by side, of explain_methods.py: a strip of tokens a method, its comprehensiveness beside the random range,
// and the falling probability of the method in focus.

const ASKS = ["prompt", "target", "chosen", "removal", "focus"];

function render({ model, el }) {
  const view = frame(model, el, ASKS);
  const { body, live } = view;
  const answer = () => model.get("answer");
  let asked = false;
  const send = (changes) => {
    asked = true;
    view.send(changes);
  };
  const ask = () => {
    asked = true;
    view.act("ask", { prompt: prompt.input.value, target: target.input.value });
  };
  const prompt = field("Prompt", "", 24, ask);
  const target = field("Target", "", 6, ask);
  const removal = choice("Top tokens are", [["replace", "replaced"], ["delete", "deleted"]], model.get("removal"), (value) => send({ removal: value }));
  const boxes = model.get("known").map(([name, title, about]) => {
    const box = h("input", { type: "checkbox", value: name, change: () => {
      const chosen = boxes.filter((one) => one.box.checked).map((one) => one.name);
      send({ chosen: chosen.join(",") });
    } });
    return { name, box, node: h("label", { class: "wb-label", title: about }, box, title) };
  });
  const rows = h("div", { class: "wb-methods" });
  const says = h("p", { class: "wb-says" });
  const holder = h("div");
  const curve = chart(holder, () => {});
  const set = tools(model, view, () => {
    const now = answer();
    if (!now.methods) return null;
    const list = Object.values(now.methods).map((one) => [one.title, shown(one.comprehensiveness, 4), one.inside ? "yes" : "no", shown(one.sufficiency, 4), one.evaluations, one.seconds.toFixed(2)]);
    const [low, high] = now.random.range;
    list.push(["Random (mean)", shown(now.random.mean, 4), `${shown(low, 4)} to ${shown(high, 4)}`, shown(now.random.sufficiency, 4), "", ""]);
    return [["method", "comprehensiveness", "in the random range", "sufficiency", "evaluations", "seconds"], list, `${now.model}; random: ${now.random.draws} orders, middle 90 %`];
  });

  // comprehensiveness on an axis that all rows share: the band is the random range, the dot the method
  const dot = (value, span) => {
    const now = answer();
    const x = (one) => 4 + (192 * (one - span[0])) / (span[1] - span[0]);
    const [low, high] = now.random.range;
    const picture = svg("svg", { class: "wb-dotline", viewBox: "0 0 200 20", role: "img", "aria-label": `comprehensiveness ${shown(value)}` });
    picture.append(
      svg("rect", { class: "wb-range-band", x: x(low), width: Math.max(1, x(high) - x(low)), y: 0, height: 20 }),
      svg("line", { class: "wb-half", x1: x(now.random.mean), x2: x(now.random.mean), y1: 0, y2: 20 }),
      svg("line", { class: "wb-grid", x1: 4, x2: 196, y1: 10, y2: 10 }),
      svg("circle", { class: "wb-dot wb-first", cx: x(value), cy: 10, r: 5 }),
    );
    return picture;
  };
  const drawCurve = () => {
    const now = answer();
    const one = now.methods && now.methods[now.question.focus];
    says.replaceChildren();
    if (!one) {
      curve.show(null);
      return;
    }
    const lines = [
      { name: `random: middle 90 % of ${now.random.draws} orders`, kind: "faint", values: now.random.low },
      { name: "", kind: "faint", values: now.random.high },
      { name: "random, mean", kind: "second", values: now.random.curve },
      { name: one.title, kind: "first", values: one.curve },
    ];
    says.append(`${one.title}: removing its top tokens takes `, h("strong", {}, shown(one.comprehensiveness)), ` of p(${visible(now.question.target)}) = ${shown(now.value)} on average; random orders ${shown(now.random.range[0])} to ${shown(now.random.range[1])}: ${one.inside ? "not to be told from random here" : "outside the random range"}`);
    curve.show({ label: `Probability left after removing the top tokens by ${one.title}, beside random orders; the numbers are in the table.`, x: "share of tokens removed, most important first", y: `p(${visible(now.question.target)})`, low: true, dots: null, lines, tick: (n) => (now.shares[n] === undefined ? "" : `${Math.round(100 * now.shares[n])} %`) });
  };
  const draw = () => {
    const now = answer();
    const held = [...rows.querySelectorAll("button")].indexOf(document.activeElement);
    rows.replaceChildren();
    if (now.methods) {
      const all = Object.entries(now.methods);
      const values = [...all.map(([, one]) => one.comprehensiveness), ...now.random.range, 0];
      const span = [Math.min(...values) - 0.02, Math.max(...values) + 0.02];
      rows.append(h("span"), h("span", { class: "wb-legendline" }, "scores (each row by its own largest)"), h("span", { class: "wb-legendline" }, "comprehensiveness; band: random"), h("span"));
      for (const [name, one] of all) {
        const largest = Math.max(...one.scores.map(Math.abs));
        const strip = h("div", { class: "wb-strip" }, ...now.tokens.map((token, i) => {
          const node = h("span", { class: "wb-piece", title: now.held.includes(i) ? "held fixed" : shown(one.scores[i]) }, visible(token));
          shade(node, one.scores[i], largest);
          return node;
        }));
        const pick = button(one.title, () => send({ focus: name }), { "data-method": name, "aria-pressed": String(name === now.question.focus) });
        rows.append(pick, strip, dot(one.comprehensiveness, span), h("span", { class: "wb-figure" }, `${shown(one.comprehensiveness)}${one.inside ? " ~" : ""}`));
      }
      if (held >= 0) (rows.querySelectorAll("button")[held] || rows).focus();
    }
    drawCurve();
    set.draw();
    if (asked && !view.waiting()) {
      asked = false;
      live.textContent = now.error || says.textContent;
    }
  };
  const controls = () => {
    prompt.input.value = model.get("prompt");
    target.input.value = model.get("target");
    removal.select.value = model.get("removal");
    const chosen = model.get("chosen").split(",");
    for (const one of boxes) one.box.checked = chosen.includes(one.name);
    for (const node of rows.querySelectorAll("[data-method]")) node.setAttribute("aria-pressed", String(node.dataset.method === model.get("focus")));
  };
  body.append(
    h("div", { class: "wb-row" }, prompt.node, target.node, removal.node),
    set.row,
    h("div", { class: "wb-row", role: "group", "aria-label": "Methods shown" }, ...boxes.map((one) => one.node)),
    rows, h("p", { class: "wb-hint" }, "~ inside the range of random orders. The order is that of the families, not of the numbers: one prompt ranks nothing."),
    says, holder, set.box,
  );
  return view.start([[ASKS, controls], [["answer"], draw]], curve);
}

export default { render };
