// The steering slider of explain_steer.py: a strength, a curve with its control, and what the model writes.

const ASKS = ["prompt", "target", "foil", "concept", "strength"];

function render({ model, el }) {
  const view = frame(model, el, ASKS);
  const { body, live } = view;
  const answer = () => model.get("answer");
  const strengths = model.get("strengths");
  const signed = (value) => `${value > 0 ? "+" : ""}${value}`;
  let asked = false;
  const send = (changes) => {
    asked = true;
    view.send(changes);
  };
  const ask = () => {
    asked = true;
    view.act("ask", { prompt: prompt.input.value, target: target.input.value, foil: foil.input.value });
  };
  const prompt = field("Prompt", "", 22, ask);
  const target = field("Target", "", 6, ask);
  const foil = field("Foil", "", 6, ask);
  const concept = choice("Concept", model.get("names").map((name) => [name, name]), model.get("concept"), (value) => send({ concept: value }));
  const strength = slider("Strength", { min: strengths[0], max: strengths.at(-1), step: 0.5 }, (value) => send({ strength: value }));
  const reading = h("output", {});
  strength.node.append(reading);
  const says = h("p", { class: "wb-says" });
  const next = h("p", { class: "wb-hint" });
  const texts = h("dl", { class: "wb-written" });
  const holder = h("div");
  const curve = chart(holder, () => {});
  const set = tools(model, view, () => {
    const now = answer();
    if (!now.p_target) return null;
    const rows = strengths.map((one, i) => [signed(one), shown(now.p_target[i], 4), shown(now.p_foil[i], 4), shown(now.share[i], 4), shown(now.control_share[i], 4)]);
    return [["strength", `p(${now.question.target})`, `p(${now.question.foil})`, "target's share", "share, random direction"], rows, `${now.model}, layer ${now.layer}, ${now.question.concept}`];
  });
  const draw = () => {
    const now = answer();
    for (const node of [says, next, texts]) node.replaceChildren();
    if (now.p_target) {
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
    set.draw();
    if (asked && !view.waiting()) {
      asked = false;
      live.textContent = now.error || says.textContent;
    }
  };
  const controls = () => {
    prompt.input.value = model.get("prompt");
    target.input.value = model.get("target");
    foil.input.value = model.get("foil");
    concept.select.value = model.get("concept");
    strength.input.value = model.get("strength");
    reading.textContent = signed(model.get("strength"));
  };
  body.append(
    h("div", { class: "wb-row" }, prompt.node, target.node, foil.node),
    set.row,
    h("div", { class: "wb-row" }, concept.node, strength.node),
    says, texts, next, holder, set.box,
  );
  return view.start([[ASKS, controls], [["answer"], draw]], curve);
}

export default { render };
