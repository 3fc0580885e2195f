// Methods side by side, of methods.py: a strip of tokens a method, its comprehensiveness beside the random range,
// and the falling probability of the method in focus.

function render({ model, el }) {
  const view = explorer(model, el);
  const { body, send } = view;
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
  // comprehensiveness on an axis that all rows share: the band is the random range, the dot the method
  const dot = (now, value, span) => {
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
  // the axis ends at the next of 1, 2 and 5 times a power of ten above all lines, so that small probabilities show
  const ceiling = (lines) => {
    const most = Math.max(1e-9, ...lines.flatMap((line) => line.values));
    const power = 10 ** Math.floor(Math.log10(most));
    return Math.min(1, [1, 2, 5, 10].map((one) => one * power).find((one) => one >= most));
  };
  const drawCurve = (now) => {
    const one = now && now.methods[now.question.focus];
    says.replaceChildren();
    if (!one) {
      curve.show(null);
      return;
    }
    const lines = [
      { name: `random: middle 90 % of ${now.random.draws} orders (between the grey lines)`, kind: "faint", values: now.random.low },
      { name: "", kind: "faint", values: now.random.high },
      { name: "random, mean", kind: "second", values: now.random.curve },
      { name: one.title, kind: "first", values: one.curve },
    ];
    says.append(`${one.title}: removing its top tokens takes `, h("strong", {}, shown(one.comprehensiveness)), ` of p(${visible(now.question.target)}) = ${shown(now.value)} on average; random orders ${shown(now.random.range[0])} to ${shown(now.random.range[1])}: ${one.inside ? "not to be told from random here" : "outside the random range"}`);
    curve.show({ label: `Probability left after removing the top tokens by ${one.title}, beside random orders; the numbers are in the table.`, x: "share of tokens removed, most important first", y: `p(${visible(now.question.target)})`, low: true, dots: null, lines, places: now.shares, top: ceiling(lines), tick: (n) => `${Math.round(100 * now.shares[n])} %` });
  };
  const draw = (now) => {
    const held = [...rows.querySelectorAll("button")].indexOf(document.activeElement);
    rows.replaceChildren();
    tick();
    if (now) {
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
        rows.append(pick, strip, dot(now, one.comprehensiveness, span), h("span", { class: "wb-figure" }, `${shown(one.comprehensiveness)}${one.inside ? " ~" : ""}`));
      }
      for (const sentence of now.refused || []) rows.append(h("p", { class: "wb-hint wb-refused" }, sentence));
      if (held >= 0) (rows.querySelectorAll("button")[held] || rows).focus();
    }
    drawCurve(now);
    return says.textContent;
  };
  const tick = () => {
    const chosen = model.get("chosen").split(",");
    for (const one of boxes) one.box.checked = chosen.includes(one.name);
    for (const node of rows.querySelectorAll("[data-method]")) node.setAttribute("aria-pressed", String(node.dataset.method === model.get("focus")));
  };
  view.on(["chosen", "focus"], tick);
  body.append(
    h("div", { class: "wb-row", role: "group", "aria-label": "Methods shown" }, ...boxes.map((one) => one.node)),
    rows, h("p", { class: "wb-hint" }, "~ inside the range of random orders. The order is that of the families, not of the numbers: one prompt ranks nothing."),
    says, holder,
  );
  return view.start(draw, [curve]);
}

export default { render };
