// The explorer of emo.py: sliders for context and temperature, a menu of variants, and bars of what the kernel answers.

const ASKS = ["context", "temperature", "variant"];
const four = (value) => (Number.isFinite(value) ? value.toFixed(4) : "–");

function render({ model, el }) {
  const view = frame(model, el, ASKS);
  const { body, live } = view;
  const contexts = model.get("contexts");
  const context = slider("Context", { min: 0, max: contexts.length - 1, step: 1 }, (value) => view.send({ context: value }));
  const temperature = slider("Temperature", { min: 0.2, max: 2, step: 0.1 }, (value) => view.send({ temperature: value }));
  const degree = h("output", {});
  temperature.node.append(degree);
  const variant = choice("Variant", model.get("variants").map((name) => [name, name]), model.get("variant"), (value) => view.send({ variant: value }));
  const large = button("Large type", () => view.send({ large: !model.get("large") }));
  const text = h("p", { class: "wb-says" });
  const bars = h("div", { class: "wb-bars", role: "img" });
  const tableBox = h("div", { class: "wb-scroll", tabindex: 0, role: "region", "aria-label": "Table of the numbers", hidden: true });
  const tableButton = button("Table", () => {
    tableBox.hidden = !tableBox.hidden;
    tableButton.setAttribute("aria-pressed", String(!tableBox.hidden));
  }, { "aria-pressed": "false" });

  // Pulls span decades: a bar's length is the logarithm of the pull above 1e-5 of a logit.
  const bar = (value, longest, kind) => {
    const share = Math.max(0, Math.log10(Math.abs(value) / 1e-5) / Math.log10(longest / 1e-5));
    const node = h("div", { class: `wb-bar wb-${kind}`, title: value.toExponential(2) });
    node.style.width = `${Math.min(100, 100 * share)}%`;
    return node;
  };
  const draw = () => {
    const rows = model.get("answer").rows || [];
    const longest = Math.max(1e-4, ...rows.flatMap((row) => [Math.abs(row[3]), Math.abs(row[4])]));
    bars.replaceChildren(...["token (p)", "cost of moving to the target", "pull: cross-entropy above, EMO below"].map((name) => h("strong", {}, name)));
    rows.forEach(([token, p, cost, ce, emo], i) => {
      const price = h("div", { class: "wb-bar wb-price", title: four(cost) });
      price.style.width = `${Math.max(0, Math.min(100, 80 * cost))}%`;
      bars.append(
        h("span", { class: "wb-token" }, `${i === 0 ? "→ " : ""}${token} (${p.toPrecision(2)})`),
        h("div", {}, price),
        h("div", { class: "wb-pair" }, h("span", {}, ce > 0 ? "↑" : "↓"), h("div", {}, bar(ce, longest, "ce"), bar(emo, longest, "emo"))),
      );
    });
    bars.setAttribute("aria-label", "Cost of each token and the pull of both losses; all values are in the table");
    tableBox.replaceChildren(table(["token", "p", "cost", "pull of cross-entropy", "pull of EMO"], rows.map((row) => [row[0], ...row.slice(1).map(four)]), `${model.get("answer").model || ""}, ${model.get("variant")}`));
    if (!view.waiting() && rows.length) live.textContent = `Cross-entropy pulls the target up by ${four(rows[0][3])}, EMO by ${four(rows[0][4])}.`;
  };
  const controls = () => {
    context.input.value = model.get("context");
    context.input.setAttribute("aria-valuetext", contexts[model.get("context")] || "");
    temperature.input.value = model.get("temperature");
    degree.textContent = model.get("temperature").toFixed(1);
    variant.select.value = model.get("variant");
    const [before, after] = (contexts[model.get("context")] || "").split("|");
    text.replaceChildren(before, h("strong", {}, after || ""));
    large.setAttribute("aria-pressed", String(model.get("large")));
  };
  body.append(
    h("div", { class: "wb-row" }, context.node, temperature.node, variant.node),
    h("div", { class: "wb-row" }, button("Reset", () => view.act("reset")), tableButton, large, view.busy),
    text, bars, tableBox,
  );
  return view.start([[[...ASKS, "large"], controls], [["answer"], draw]]);
}

export default { render };
