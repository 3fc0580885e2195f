// The steering slider of steer.py: a strength, a curve with its control, and what the model writes.

function render({ model, el }) {
  const view = explorer(model, el);
  const strengths = model.get("strengths");
  const signed = (value) => `${value > 0 ? "+" : ""}${value}`;
  const says = h("p", { class: "wb-says" });
  const next = h("p", { class: "wb-hint" });
  const texts = h("dl", { class: "wb-written" });
  const holder = h("div");
  const curve = chart(holder, () => {});
  const draw = (now) => {
    for (const node of [says, next, texts]) node.replaceChildren();
    if (now) {
      const at = strengths.indexOf(now.question.strength);
      const { target: right, foil: wrong } = now.question;
      says.append(`Strength ${signed(now.question.strength)} at layer ${now.layer}: of “${visible(right)}” and “${visible(wrong)}” the first has `, h("strong", {}, shown(now.share[at])), ` (random direction ${shown(now.control_share[at])}; p = ${shown(now.p_target[at], 4)} and ${shown(now.p_foil[at], 4)})`);
      next.textContent = `Likeliest next: ${now.top.map(([text, p]) => `${visible(text)} ${shown(p, 2)}`).join(", ")}`;
      texts.append(h("dt", {}, "untouched"), h("dd", {}, now.question.prompt, h("em", {}, now.plain)), h("dt", {}, signed(now.question.strength)), h("dd", { class: "wb-steered" }, now.question.prompt, h("strong", {}, now.text)));
      curve.show({
        label: `The target's share of the two answers over the strength; at ${now.question.strength} it is ${shown(now.share[at])}.`,
        x: "strength (distances between the concept's two means)", y: `share of ${visible(right)}`, low: true, dots: null, tick: (n) => signed(strengths[n]),
        lines: [
          { name: "along a random direction", kind: "faint", values: now.control_share },
          { name: `along “${now.question.concept}”`, kind: "first", values: now.share },
        ],
      });
      curve.mark(at);
    } else curve.show(null);
    return says.textContent;
  };
  view.body.append(says, texts, next, holder);
  return view.start(draw, [curve]);
}

export default { render };
