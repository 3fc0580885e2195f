// The proof explorer of reprover.py: a theorem, its goals, a field for tactics, the states visited, the premises.

const SYMBOLS = ["←", "⟨", "⟩", "∧", "∨", "¬", "→", "↔", "∀", "∃", "≠", "≤", "·"];
const KINDS = { refused: "Refused, before it reached Lean", stopped: "Lean gave no answer", error: "Lean's error" };
const left = (count) => (count === 1 ? "1 goal left" : `${count} goals left`);

// A field of several lines for Lean's text: Enter is told, Shift+Enter begins a new line, keys stay in the field.
function leanField(label, hint, told) {
  const input = h("textarea", { class: "wb-input wb-lp-field", rows: 1, "aria-label": label, placeholder: hint, spellcheck: "false", autocomplete: "off", autocapitalize: "off" });
  const fit = () => { input.rows = Math.min(8, input.value.split("\n").length); };
  input.addEventListener("input", fit);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      told();
    }
    event.stopPropagation();
  });
  const put = (text) => {
    const [from, to] = [input.selectionStart, input.selectionEnd];
    input.setRangeText(text, from, to, "end");
    fit();
    input.focus();
  };
  const set = (text) => {
    input.value = text;
    fit();
  };
  return { input, put, set };
}

function render({ model, el }) {
  const view = explorer(model, el, { who: "Lean" });
  const { root, body } = view;
  root.classList.add("wb-lp");
  const answer = () => model.get("answer");
  const known = () => Array.isArray(answer().goals);
  let asked = null; // the proof on which this view ran a tactic, until the answer is here

  // --- which theorem --------------------------------------------------------------------------------------------------
  const search = h("input", { type: "search", class: "wb-input", "aria-label": "Search theorems", placeholder: "name or file", spellcheck: "false" });
  const picker = h("select", { class: "wb-select wb-lp-picker", "aria-label": "Theorem" });
  const count = h("span", { class: "wb-hint" });
  const pick = (name) => view.send({ theorem: name, proof: "" });
  const fill = () => {
    const all = model.get("theorems");
    const parts = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = all.filter(([name, file]) => parts.every((part) => `${name} ${file}`.toLowerCase().includes(part)));
    const groups = new Map();
    for (const [name, file] of found) {
      if (!groups.has(file)) groups.set(file, h("optgroup", { label: file }));
      groups.get(file).append(h("option", { value: name }, name));
    }
    const now = model.get("theorem");
    const first = found.some(([name]) => name === now) ? [] : [h("option", { value: "", disabled: true }, all.some(([name]) => name === now) ? now : "(your own)")];
    picker.replaceChildren(...first, ...groups.values());
    picker.value = first.length ? "" : now;
    count.textContent = `${found.length} of ${all.length} theorems`;
    return found;
  };
  search.addEventListener("input", fill);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      const found = fill();
      if (found.length) pick(found[0][0]);
    }
    event.stopPropagation();
  });
  picker.addEventListener("change", () => pick(picker.value));
  picker.addEventListener("keydown", (event) => event.stopPropagation());
  const own = leanField("Your own theorem", "theorem mine (p q : Prop) (h : p ∧ q) : q", () => {
    if (own.input.value.trim()) pick(own.input.value.trim());
  });

  // --- the state ------------------------------------------------------------------------------------------------------
  const missing = h("p", { class: "wb-lp-missing", role: "note", hidden: true });
  const statement = h("pre", { class: "wb-lp-statement" });
  const place = h("span", { class: "wb-hint" });
  const goals = h("div", { class: "wb-lp-goals", role: "region", "aria-label": "Goals" });
  const failed = h("div", { class: "wb-lp-failed", role: "region", "aria-label": "The failed tactic", hidden: true });
  const run = () => {
    asked = model.get("proof");
    view.act("tactic", { text: tactic.input.value });
  };
  const tactic = leanField("Tactic", "a tactic, such as  intro h", run);
  const runButton = button("Run", run);
  const undo = button("Undo", () => view.act("undo"), { title: "back by one step" });
  const human = button("Show the human's next step", () => view.act("human"));
  const hint = h("div", { class: "wb-lp-hint", role: "status" });
  // The prover works a slice at a time: after each answer this view asks for the next one, until Stop.
  let going = false;
  const most = h("input", { type: "number", class: "wb-input", min: 1, max: 10000, value: 60, "aria-label": "Calls of Lean", style: "width: 5em" });
  most.addEventListener("keydown", (event) => event.stopPropagation());
  const prover = button("Ask the prover", () => {
    going = true;
    view.act("prove", { calls: Math.max(1, Math.floor(Number(most.value)) || 1) });
  }, { title: "search a proof from this state; the tree below grows" });
  const stop = button("Stop", () => {
    going = false;
    draw();
  });
  const told = h("div", { class: "wb-lp-search", role: "status" });
  const symbols = h("div", { class: "wb-row wb-lp-symbols", role: "group", "aria-label": "Symbols" },
    ...SYMBOLS.map((sign) => button(sign, () => tactic.put(sign), { "aria-label": `Insert ${sign}` })));
  const steps = h("ol", { class: "wb-lp-tree", "aria-label": "States so far" });
  const ranked = h("ol", { class: "wb-lp-premises", tabindex: 0, "aria-label": "Accessible premises" });
  const reach = h("p", { class: "wb-hint" });
  const retriever = choice("Scores by", model.get("retrievers").map((name) => [name, name === "bm25" ? "BM25" : name]), model.get("retriever"), (value) => view.send({ retriever: value }));

  view.tools.insertBefore(button(".lean", () => view.take("lean"), { title: "Save the finished proof as a file that compiles" }), view.tools.lastChild);

  // Lean prints a goal as: case NAME, hypotheses, ⊢ target; longer ones go on in indented lines.
  const drawGoal = (text, number, all) => {
    const lines = text.split("\n");
    const name = lines[0].startsWith("case ") ? lines.shift() : "";
    const at = lines.findIndex((line) => line.startsWith("⊢"));
    const above = at < 0 ? lines : lines.slice(0, at);
    const below = at < 0 ? [] : lines.slice(at);
    const title = [`Goal ${number + 1} of ${all}`, name, number === 0 && all > 1 ? "the next tactic works on this one" : ""];
    return h("div", { class: number === 0 ? "wb-lp-goal wb-lp-first" : "wb-lp-goal", "data-goal": number },
      h("div", { class: "wb-hint" }, title.filter(Boolean).join(" · ")),
      ...above.map((line) => h("div", { class: "wb-lp-hypothesis" }, line)),
      h("div", { class: "wb-lp-target" }, below.join("\n")));
  };
  const drawGoals = (now) => {
    if (!now.finished) {
      goals.replaceChildren(...now.goals.map((text, n) => drawGoal(text, n, now.goals.length)));
      return;
    }
    const told = now.verified;
    const axioms = told.axioms.length ? `the axioms ${told.axioms.join(", ")}` : "no axioms";
    const words = told.ok ? `✓ No goals left. A fresh Lean compiled the whole file again and accepts it; the proof uses ${axioms}. What was proved, in full: ${now.proved}`
      : `No goals left, but the proof is not verified: ${told.message}`;
    goals.replaceChildren(h("div", { class: told.ok ? "wb-lp-goal wb-lp-done" : "wb-lp-goal wb-lp-doubt" }, words));
  };
  const drawFailed = () => {
    const here = model.get("tried").filter((one) => one.theorem === model.get("theorem") && one.at === model.get("proof"));
    failed.hidden = here.length === 0;
    failed.replaceChildren();
    const last = here.at(-1);
    if (!last) return;
    failed.append(h("strong", {}, KINDS[last.kind]), h("span", {}, " on "), h("code", {}, last.tactic), h("pre", {}, last.message));
    const older = here.slice(0, -1);
    if (older.length) {
      failed.append(h("details", {}, h("summary", {}, `${older.length} more tried here`),
        ...older.map((one) => h("div", {}, h("code", {}, one.tactic), ` ${one.message.split("\n")[0]}`))));
    }
  };
  const searched = () => (model.get("search").theorem === model.get("theorem") ? model.get("search") : null);
  const drawSearch = () => {
    const found = searched();
    prover.disabled = going || !known() || answer().finished;
    stop.disabled = !going;
    told.replaceChildren();
    if (!found) return;
    const words = found.over || !going ? found.message : `${found.calls} of ${found.most} calls of Lean`;
    told.append(`The prover: ${words}.`);
    if (found.premises.length && !found.over) {
      told.append(h("div", { class: "wb-hint" }, `It was given ${found.premises.map(([name, score]) => `${name} (${score.toFixed(2)})`).join(", ")}.`));
    }
  };
  const drawTree = (now) => {
    const lines = searched() && searched().tree.length > now.tree.length ? searched().tree : now.tree;
    steps.replaceChildren(...lines.map((line) => {
      const here = line.proof === model.get("proof");
      const words = (line.goals ? left(line.goals) : "✓ no goals") + (line.score === null ? "" : ` · ${line.score.toFixed(2)}`);
      const node = h("button", { type: "button", class: "wb-lp-step", "aria-current": here ? "step" : null, click: () => view.send({ proof: line.proof }) },
        h("code", {}, line.tactic || "(the theorem)"), h("small", {}, words));
      const item = h("li", {}, h("span", { class: "wb-hint", "aria-hidden": "true" }, line.branch ? "↳" : line.level ? "\u2003" : ""), node);
      item.style.marginLeft = `${1.4 * line.level}em`;
      return item;
    }));
  };
  const drawPremises = (now) => {
    const most = Math.max(...now.premises.map((one) => one[2]), 1e-9);
    ranked.replaceChildren(...now.premises.map(([name, kind, score, code, file]) => {
      const bar = h("span", { class: "wb-lp-bar", "aria-hidden": "true" });
      bar.style.width = `${Math.max(0, (100 * score) / most)}%`;
      return h("li", {},
        h("button", { type: "button", class: "wb-lp-premise", "data-premise": name, title: `insert ${name} into the tactic`, click: () => tactic.put(name) }, h("code", {}, name)),
        h("span", { class: "wb-lp-score" }, score.toFixed(2)), h("span", { class: "wb-lp-track" }, bar),
        h("span", { class: "wb-lp-code", title: `${kind}, ${file}` }, code));
    }));
    reach.textContent = now.finished ? "" : `${now.premises.length} best of the ${now.accessible} premises this theorem may name; a click puts the name into the tactic.`;
  };
  const drawHint = () => {
    const told = model.get("hint");
    hint.replaceChildren();
    if (told.theorem !== model.get("theorem") || told.at !== model.get("proof")) return;
    if (!told.step) {
      hint.append(answer().human_steps ? "The human's proof does not pass through this state." : "There is no human's proof of this theorem.");
      return;
    }
    const names = told.premises.length ? ` (names ${told.premises.join(", ")})` : "";
    hint.append(`Step ${told.step} of ${answer().human_steps}: `, h("code", {}, told.tactic), names, " ",
      button("Use it", () => { tactic.set(told.tactic); tactic.input.focus(); }));
  };
  const draw = () => {
    const now = answer();
    undo.disabled = !known() || now.script.length === 0;
    human.disabled = !known() || now.finished || now.human_steps === 0;
    for (const node of [runButton, tactic.input]) node.disabled = !known() || now.finished;
    missing.hidden = !model.get("missing");
    missing.textContent = model.get("missing") ? `${model.get("missing")}. Theorems, goals and premises are shown; without Lean only the human's own steps can be followed.` : "";
    if (!known()) {
      for (const box of [statement, place, goals, steps, ranked, reach, hint, failed]) box.replaceChildren();
      failed.hidden = true;
    } else {
      statement.textContent = now.statement;
      place.textContent = now.file ? `${now.file}, line ${now.line}` : "a theorem of your own";
      drawGoals(now);
      drawTree(now);
      drawSearch();
      drawPremises(now);
      drawHint();
      drawFailed();
    }
    if (going && !view.waiting()) {
      going = known() && !now.error && !now.finished && searched() !== null && !searched().over;
      if (going) view.act("search");
      drawSearch();
    }
    let words = !known() ? "" : now.finished ? goals.textContent : left(now.goals.length);
    if (view.waiting() || asked === null) return words;
    const here = model.get("tried").filter((one) => one.theorem === model.get("theorem") && one.at === model.get("proof")).at(-1);
    const moved = model.get("proof") !== asked;
    if (moved && !now.error) tactic.set(moved && here ? here.tactic : "");
    asked = null;
    if (!moved && here) words = `${KINDS[here.kind]}: ${here.message}`;
    if (!now.finished && root.contains(document.activeElement)) tactic.input.focus();
    return words;
  };
  const controls = () => {
    fill();
    retriever.select.value = model.get("retriever");
    if (!model.get("theorem").startsWith("theorem ")) own.set("");
    else own.set(model.get("theorem"));
  };

  const premises = h("div", { class: "wb-lp-side" },
    h("div", { class: "wb-row" }, h("strong", {}, "Premises"), retriever.node), reach, ranked);
  const proof = h("div", { class: "wb-lp-main" },
    statement, place, goals,
    h("div", { class: "wb-lp-line" }, tactic.input, runButton), symbols, failed,
    h("div", { class: "wb-row" }, undo, human, h("label", { class: "wb-label" }, "Calls", most), prover, stop), hint, told,
    h("strong", {}, "States so far"), h("span", { class: "wb-hint" }, " (click one to go back to it)"), steps);
  body.append(
    h("div", { class: "wb-row" }, h("label", { class: "wb-label" }, "Search", search), h("label", { class: "wb-label" }, "Theorem", picker), count),
    h("div", { class: "wb-row wb-lp-ownrow" }, h("label", { class: "wb-label wb-lp-wide" }, "or your own", own.input)),
    missing, h("div", { class: "wb-lp-pair" }, proof, premises),
  );
  controls();
  view.on(["theorem", "proof", "retriever"], controls);
  return view.start(draw, [], ["tried", "hint", "missing", "theorem", "proof", "search"]);
}

export default { render };
