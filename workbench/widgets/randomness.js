// The explorer of randomness.py: an editor of flips above two panels of curves. All numbers come from the kernel's
// `answer`; this file only edits the question (flips, prompt, concept) and draws.

const NAMES = { H: "Heads", T: "Tails" };

function render({ model, el }) {
  const view = explorer(model, el);
  const { body, live } = view;
  const flips = () => model.get("flips");
  let at = flips().length; // where the keyboard stands: a flip's index, or the number of flips for the append buttons

  // --- the editor -------------------------------------------------------------------------------------------------
  const hint = h("p", { class: "wb-hint", id: freshId() }, "Arrow keys move · h and t set a flip (behind the last one: append) · Enter or Space turns it · Backspace deletes");
  const coins = h("div", { class: "wb-coins", role: "group", "aria-label": "The flips the model has seen", "aria-describedby": hint.id });
  const appendH = button("+ H", () => append("H"), { class: "wb-button wb-append", "aria-label": "Append Heads" });
  const appendT = button("+ T", () => append("T"), { class: "wb-button wb-append", "aria-label": "Append Tails" });
  const ends = h("span", { class: "wb-ends" }, appendH, appendT);
  coins.append(ends);
  const places = () => [...coins.querySelectorAll("button")]; // the coins, then + H and + T
  const coin = (index) => places()[index];
  const coinCount = () => places().length - 2;

  const edit = (next, where, words) => {
    if (next.length > model.get("longest")) {
      live.textContent = `${model.get("longest")} flips are the most this editor takes`;
      return;
    }
    at = Math.max(0, Math.min(where, next.length));
    live.textContent = words;
    view.send({ flips: next });
    focusAt();
  };
  const set = (index, flip) => edit(flips().slice(0, index) + flip + flips().slice(index + 1), index, `Flip ${index + 1} is ${NAMES[flip]}.`);
  const turn = (index) => set(index, flips()[index] === "H" ? "T" : "H");
  const append = (flip) => edit(flips() + flip, flips().length + 1, `${NAMES[flip]} appended, ${flips().length + 1} flips.`);
  const remove = (index) => {
    if (index >= 0 && index < flips().length) edit(flips().slice(0, index) + flips().slice(index + 1), index, `Flip ${index + 1} deleted, ${flips().length - 1} flips.`);
  };
  const focusAt = () => coin(at).focus();
  const move = (where) => {
    at = Math.max(0, Math.min(where, flips().length));
    roving();
    focusAt();
  };
  const roving = () => {
    places().forEach((node, i) => { node.tabIndex = i === at ? 0 : -1; });
  };
  coins.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const end = flips().length;
    const here = Math.min(places().indexOf(event.target), end + 1);
    if (here < 0) return;
    const letter = event.key.toUpperCase();
    if (event.key === "ArrowRight" && here >= end) appendT.focus();
    else if (event.key === "ArrowRight") move(here + 1);
    else if (event.key === "ArrowLeft") move(here - 1);
    else if (event.key === "Home") move(0);
    else if (event.key === "End") move(end);
    else if (letter === "H" || letter === "T") here < end ? set(here, letter) : append(letter);
    else if (event.key === "Delete") remove(here);
    else if (event.key === "Backspace") remove(here < end ? here : end - 1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  coins.addEventListener("click", (event) => {
    const node = event.target.closest(".wb-coin");
    if (node) turn(places().indexOf(node));
  });
  coins.addEventListener("focusin", (event) => {
    const here = places().indexOf(event.target);
    if (here >= 0 && here < coinCount()) {
      at = here;
      roving();
      say(here);
    }
  });
  coins.addEventListener("focusout", () => say(null));
  const drawCoins = () => {
    const text = flips();
    while (coinCount() > text.length) coin(coinCount() - 1).remove();
    while (coinCount() < text.length) ends.before(h("button", { type: "button", class: "wb-coin" }));
    [...text].forEach((flip, i) => {
      const node = coin(i);
      if (node.textContent === flip && node.dataset.of === String(text.length)) return;
      node.textContent = flip;
      node.dataset.of = text.length;
      node.dataset.flip = flip;
      node.setAttribute("aria-label", `Flip ${i + 1} of ${text.length}: ${NAMES[flip]}`);
      node.title = `flip ${i + 1}: ${NAMES[flip]}`;
    });
    at = Math.min(at, text.length);
    roving();
  };

  // --- typing, presets, selectors -----------------------------------------------------------------------------------
  const typed = h("input", { class: "wb-input wb-typed", type: "text", spellcheck: "false", autocomplete: "off", placeholder: "HTHT or 0101" });
  const sendTyped = () => {
    view.act("type", { text: typed.value });
  };
  typed.addEventListener("keydown", (event) => {
    if (event.key === "Enter") sendTyped();
    event.stopPropagation();
  });
  const length = h("input", { class: "wb-input wb-number", type: "number", min: 0, max: model.get("longest"), value: Math.max(flips().length, 2) });
  const seed = h("input", { class: "wb-input wb-number", type: "number", min: 0, max: 9999, value: 0 });
  const preset = h("select", { class: "wb-select" }, ...model.get("presets").map(([key, text]) => h("option", { value: key }, text)));
  const usePreset = () => {
    view.act("preset", { name: preset.value, length: Number(length.value), seed: Number(seed.value) });
  };
  const lengthLabel = h("label", { class: "wb-label" }, "length", length);
  const seedLabel = h("label", { class: "wb-label" }, "seed", seed);
  const showNeeded = () => {
    seedLabel.hidden = preset.value !== "random";
    lengthLabel.hidden = !model.get("presets").find(([key]) => key === preset.value)[2];
  };
  preset.addEventListener("change", showNeeded);
  showNeeded();
  const percent = h("input", { class: "wb-input wb-number", type: "number", min: 0, max: 100, value: model.get("p_tails") });
  percent.addEventListener("change", () => {
    if (percent.value !== "" && Number.isFinite(percent.valueAsNumber)) view.send({ p_tails: percent.valueAsNumber });
  });
  const percentLabel = h("label", { class: "wb-label" }, "stated % Tails", percent);
  const promptText = h("pre", { class: "wb-prompt" });
  const promptBox = h("details", {}, h("summary", {}, "What the model reads"), promptText);

  // --- panels ---------------------------------------------------------------------------------------------------------
  const says = h("p", { class: "wb-says" });
  const saysSelection = h("p", { class: "wb-says" });
  const curveHolder = h("div");
  const selectionHolder = h("div");
  const curve = chart(curveHolder, (n) => say(n));
  const selection = chart(selectionHolder, (n) => say(n));
  const observerHolder = h("div");
  const observer = chart(observerHolder, (n) => say(n));
  const curvePanel = h("div", {}, says, curveHolder);
  const selectionPanel = h("div", {}, saysSelection, selectionHolder, observerHolder);
  const panels = tabs("What to look at", [["Next flip", curvePanel], ["Model selection", selectionPanel]]);
  const say = (n) => {
    const now = view.answer();
    curve.mark(n);
    selection.mark(n);
    observer.mark(n);
    says.replaceChildren();
    saysSelection.replaceChildren();
    if (!now) return;
    const last = now.p_tails.length - 1;
    const k = n === null || n > last ? last : n;
    const then = k < last ? ` · the flip that came: ${NAMES[now.question.flips[k]]}` : "";
    says.append(`After ${k} flips: p(next = Tails) = `, h("strong", {}, shown(now.p_tails[k])), ` · unnormalised mass ${shown(now.mass[k])}${then}`);
    if (now.sampled) says.append(` · counted in ${now.sampled.n} samples behind the last flip, 95 % interval ${shown(now.sampled.low)} to ${shown(now.sampled.high)}`);
    saysSelection.append(`After ${k} flips: p(concept) = `, h("strong", {}, shown(now.posterior.sequence[k])), ` by the sequence's likelihood, `, h("strong", {}, shown(now.posterior.count[k])), " by the count's");
  };
  const draw = (now) => {
    if (now) {
      const seen = [...now.question.flips].map((flip) => (flip === "T" ? 1 : 0));
      const last = now.p_tails.length - 1;
      curve.show({
        label: `Probability that the next flip is Tails after 0 to ${last} flips; after the last it is ${shown(now.p_tails[last])}. All values are in the table.`,
        x: "flips seen", y: "p(next = Tails)",
        lines: [
          { name: "unnormalised mass of H and T", kind: "faint", values: now.mass },
          { name: "p(next = Tails)", kind: "first", values: now.p_tails },
        ],
        dots: { name: "the flip that came (1 Tails, 0 Heads)", values: seen },
      });
      selection.show({
        label: `Posterior probability of the concept after 0 to ${last} flips, by two likelihoods. All values are in the table.`,
        x: "flips seen", y: `p((${now.question.concept})ⁿ | flips)`,
        lines: [
          { name: "sequence likelihood, 0.5ⁿ", kind: "third", values: now.posterior.sequence },
          { name: "count likelihood (the reference code's binomial)", kind: "second", values: now.posterior.count },
        ],
        dots: null, low: true,
      });
      observer.show({
        label: `What a Bayesian observer who believes this expects next, beside the model, after 0 to ${last} flips.`,
        x: "flips seen", y: "p(next = Tails)",
        lines: [
          { name: "observer, sequence likelihood", kind: "third", values: now.observer.sequence },
          { name: "observer, count likelihood", kind: "second", values: now.observer.count },
          { name: "the model", kind: "first", values: now.p_tails },
        ],
        dots: null, low: true,
      });
    } else {
      curve.show(null);
      selection.show(null);
      observer.show(null);
    }
    promptText.textContent = now ? now.reads : "";
    say(null);
    return now ? `After ${now.p_tails.length - 1} flips the model gives Tails ${shown(now.p_tails.at(-1))}.` : "";
  };
  const drawPercent = () => {
    percent.value = model.get("p_tails");
    percentLabel.hidden = model.get("prompt") !== "paper"; // only this prompt states it
  };

  body.append(
    h("div", { class: "wb-row" }, percentLabel),
    coins,
    hint,
    h("div", { class: "wb-row" },
      h("label", { class: "wb-label" }, "Type flips", typed), button("Use typed", sendTyped),
      h("label", { class: "wb-label" }, "Preset", preset), lengthLabel, seedLabel, button("Use preset", usePreset)),
    panels,
    promptBox,
  );
  drawCoins();
  drawPercent();
  view.on(["flips"], drawCoins);
  view.on(["prompt", "p_tails"], drawPercent);
  return view.start(draw, [curve, selection, observer]);
}

export default { render };
