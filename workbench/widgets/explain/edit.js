// The counterfactual editor of edit.py: every word a field; two bars before, two after.

function render({ model, el }) {
  const view = explorer(model, el);
  const { body } = view;
  const edit = (text) => view.send({ edited: text });
  const hint = h("p", { class: "wb-hint", id: freshId() }, "Change a word and press Enter (or leave the field); an empty field deletes it.");
  const words = h("div", { class: "wb-pieces", role: "group", "aria-label": "The words of the edited prompt", "aria-describedby": hint.id });
  const says = h("p", { class: "wb-says" });
  const bars = h("div", { class: "wb-odds", role: "img" });
  const found = h("div", { class: "wb-found" });
  const suggest = button("Search for edits that flip it", () => view.act("suggest"));

  // words and the blanks between them: the text is put together again as it was
  const split = (text) => text.split(/(\s+)/).filter((part) => part !== "");
  const join = () => {
    let text = "";
    for (const node of words.children) {
      const value = (node.value ?? node.textContent).trim();
      if (node.tagName === "INPUT") text += value;
      else if (text !== "" || node.dataset.blank) text += node.dataset.blank;
    }
    return text.replace(/ {2,}/g, " ").trimEnd();
  };
  const drawWords = () => {
    const text = model.get("edited");
    const before = split(model.get("prompt")).filter((part) => part.trim());
    let index = 0;
    words.replaceChildren(...split(text).map((part) => {
      if (!part.trim()) return h("span", { "data-blank": part });
      const number = index;
      index += 1;
      const node = h("input", { type: "text", class: "wb-input wb-word", value: part, "aria-label": `Word ${number + 1}`, spellcheck: "false" });
      node.style.width = `${Math.max(2, part.length) + 1.6}ch`;
      node.toggleAttribute("data-changed", before[number] !== part);
      node.addEventListener("change", () => edit(join()));
      node.addEventListener("keydown", (event) => event.stopPropagation());
      return node;
    }));
  };
  const bar = (name, value, kind) => {
    const fill = h("div", { class: `wb-odd wb-${kind}` });
    fill.style.width = `${100 * value}%`;
    return [h("span", { class: "wb-odd-name" }, name), h("div", { class: "wb-odd-track" }, fill), h("span", { class: "wb-odd-number" }, shown(value))];
  };
  const draw = (now) => {
    bars.replaceChildren();
    says.replaceChildren();
    drawFound();
    if (!now) return "";
    const asks = now.question;
    says.append(now.changes.length ? (now.flipped ? "The answer flips: " : "The answer stays: ") : "As it was: ", `margin of “${visible(asks.target)}” over “${visible(asks.foil)}” `, h("strong", {}, shown(now.margin, 2)), ` (before ${shown(now.before_margin, 2)}, log-odds)`);
    bars.append(
      h("strong", {}, "before"), h("span"), h("span"),
      ...bar(visible(asks.target), now.before_target, "for"), ...bar(visible(asks.foil), now.before_foil, "against"),
      h("strong", {}, "after"), h("span"), h("span"),
      ...bar(visible(asks.target), now.p_target, "for"), ...bar(visible(asks.foil), now.p_foil, "against"),
    );
    bars.setAttribute("aria-label", `Probabilities before and after the edit; all values are in the table`);
    return now.flipped ? "The answer flips." : "The answer stays.";
  };
  const drawFound = () => {
    const list = model.get("suggestions");
    found.replaceChildren();
    if (!list.edits || list.for !== model.get("prompt")) return;
    const flips = list.edits.filter((one) => one[2]).length;
    found.append(h("p", { class: "wb-hint" }, `${list.tried} edits tried in ${list.seconds} s; ${flips ? `${flips} flip the answer, fewest words first:` : "none flips it; the nearest:"}`));
    for (const [text, margin] of list.edits) found.append(h("div", {}, button(text, () => edit(text)), ` margin ${shown(margin, 2)}`));
  };
  drawWords();
  view.on(["prompt", "edited"], drawWords);
  body.append(words, hint, says, bars, h("div", { class: "wb-row" }, suggest), found);
  return view.start(draw, [], ["suggestions"]);
}

export default { render };
