// The explorer of warnings of skipanalyzer.py: a warned method, a verdict, the patch as a diff, a person's decision.

const SIGNS = { "+": ["ins", "wb-sk-put"], "-": ["del", "wb-sk-out"], " ": ["span", ""] };

function render({ model, el }) {
  const view = explorer(model, el, { who: model.get("judge") === "model" ? "the model" : "the kernel" });
  const { root, body } = view;
  root.classList.add("wb-sk");
  const now = () => view.answer();
  const quiet = (node) => {
    node.addEventListener("keydown", (event) => event.stopPropagation());
    return node;
  };

  // --- which warning --------------------------------------------------------------------------------------------------
  const search = quiet(h("input", { type: "search", class: "wb-input", "aria-label": "Search warnings", placeholder: "name or kind", spellcheck: "false" }));
  const picker = quiet(h("select", { class: "wb-select wb-sk-picker", "aria-label": "Warning" }));
  const count = h("span", { class: "wb-hint" });
  const decided = (id) => model.get("decisions").find((one) => one.item === id);
  let found = [];
  const pick = (id) => {
    if (id !== undefined && id !== model.get("warning")) view.send({ warning: id, edited: "" });
  };
  const fill = () => {
    const all = model.get("warnings");
    const parts = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    found = all.filter(([id, kind]) => parts.every((part) => `${id} ${kind}`.toLowerCase().includes(part)));
    const mine = model.get("warning");
    const groups = new Map();
    for (const [id, kind] of found) {
      if (!groups.has(kind)) groups.set(kind, h("optgroup", { label: kind }));
      groups.get(kind).append(h("option", { value: id }, decided(id) ? `✓ ${id}` : id));
    }
    const outside = found.some(([id]) => id === mine) ? [] : [h("option", { value: mine, disabled: true }, mine)];
    picker.replaceChildren(...outside, ...groups.values());
    picker.value = mine;
    count.textContent = `${found.length} of ${all.length} warnings, ${model.get("decisions").length} decided`;
  };
  search.addEventListener("input", fill);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") pick(found[0]?.[0]);
  });
  picker.addEventListener("change", () => pick(picker.value));
  const step = (by) => {
    const at = found.findIndex(([id]) => id === model.get("warning"));
    pick(found[Math.max(0, Math.min(found.length - 1, at + by))]?.[0]);
  };
  const back = button("◀", () => step(-1), { "aria-label": "Previous warning", title: "previous warning" });
  const next = button("▶", () => step(1), { "aria-label": "Next warning", title: "next warning" });

  // --- the method, the verdict, the patch -----------------------------------------------------------------------------
  const missing = h("p", { class: "wb-sk-missing", role: "note", hidden: true });
  const told = h("div", { class: "wb-sk-told", role: "region", "aria-label": "The warning" });
  const code = h("div", { class: "wb-sk-code", tabindex: 0, role: "region", "aria-label": "The method" });
  const verdict = h("div", { class: "wb-sk-verdict", role: "region", "aria-label": "The verdict" });
  const by = h("span", { class: "wb-hint" });
  const patch = h("div", { class: "wb-sk-code wb-sk-patch", tabindex: 0, role: "region", "aria-label": "The patch" });
  const result = h("p", { class: "wb-sk-result", role: "status" });
  const check = button("Check the patch", () => view.act("check"), { title: "does it parse, compile, pass its check, and change little?" });
  const typed = quiet(h("textarea", { class: "wb-input wb-sk-typed", rows: 8, "aria-label": "Your own patch: the whole method", spellcheck: "false", autocomplete: "off", autocapitalize: "off" }));
  const editor = h("div", { hidden: true }, typed, h("div", { class: "wb-row" },
    button("Use my text", () => view.send({ edited: typed.value })),
    button("Back to the patcher's", () => view.send({ edited: "" }))));
  const edit = button("Edit", () => {
    editor.hidden = !editor.hidden;
    edit.setAttribute("aria-pressed", String(!editor.hidden));
    if (!editor.hidden) typed.focus();
  }, { "aria-pressed": "false" });

  const codeLine = ([number, text, warned]) => h("div", { class: warned ? "wb-sk-line wb-sk-warned" : "wb-sk-line" },
    h("span", { class: "wb-sk-number" }, warned ? `▶ ${number}` : String(number)), h("code", {}, text));
  const patchLine = ([sign, text]) => {
    const [tag, kind] = SIGNS[sign];
    return h(tag, { class: `wb-sk-line ${kind}` }, h("span", { class: "wb-sk-number" }, sign === "-" ? "−" : sign), h("code", {}, text));
  };
  const drawVerdict = (answer) => {
    const said = answer.verdict;
    verdict.className = "wb-sk-verdict";
    if (!said) {
      verdict.replaceChildren(h("strong", {}, "not judged"), " The triage was given no judge: choose one above.");
      return;
    }
    verdict.classList.add(`wb-sk-${said.kind.split(" ")[0]}`);
    const sign = { real: "●", false: "○" }[said.kind] || "?";
    const sure = said.confidence ? `confidence ${said.confidence.toFixed(2)}` : "it tells no confidence";
    verdict.replaceChildren(h("strong", {}, `${sign} ${said.kind}`), h("span", { class: "wb-hint" }, ` ${said.by}; ${sure}`),
      h("div", { class: "wb-sk-grounds" }, said.explanation || "No explanation was given."));
  };

  // --- the decision ---------------------------------------------------------------------------------------------------
  const who = quiet(h("input", { type: "text", class: "wb-input", "aria-label": "Your name", placeholder: "your name", spellcheck: "false", style: "width: 9em" }));
  const note = quiet(h("input", { type: "text", class: "wb-input wb-sk-note", "aria-label": "Why", placeholder: "why (goes into the files)", spellcheck: "false" }));
  const decide = (name) => view.act("decide", { button: name, who: who.value, note: note.value });
  const accept = button("Accept", () => decide("accept"), { class: "wb-button wb-sk-accept", title: "the warning is real; the patch that is shown is taken" });
  const reject = button("Reject", () => decide("reject"), { class: "wb-button wb-sk-reject", title: "the warning is false" });
  const person = button("Needs a person", () => decide("person"), { title: "somebody else must look" });
  const mine = h("p", { class: "wb-sk-mine", role: "status" });
  const list = h("ol", { class: "wb-sk-list", "aria-label": "Decided so far" });
  const saving = [
    button(".sarif", () => view.take("sarif"), { title: "Save the warnings with the verdicts of persons" }),
    button(".patch", () => view.take("patch"), { title: "Save the patches that were taken, for git apply" }),
  ];
  for (const one of saving) view.tools.insertBefore(one, view.tools.lastChild);

  const drawDecisions = () => {
    const one = decided(model.get("warning"));
    mine.textContent = "";
    if (one) {
      const took = one.patch ? ` and took the patch (${one.by})` : "";
      const truth = one.truth ? ` The teaching set says: ${one.truth}.` : "";
      mine.textContent = `${one.who} judged: ${one.verdict}${took}.${truth}`;
    }
    list.replaceChildren(...model.get("decisions").map((each) => h("li", {},
      h("button", { type: "button", class: "wb-sk-go", click: () => pick(each.item) }, each.item),
      h("span", { class: "wb-hint" }, ` ${each.verdict}${each.patch ? ", patch taken" : ""} (${each.who})${each.note ? `: ${each.note}` : ""}`))));
  };
  const draw = () => {
    const answer = now();
    fill();
    missing.hidden = !model.get("missing");
    missing.textContent = model.get("missing");
    for (const node of [check, edit, accept, reject, person]) node.disabled = answer === null;
    if (answer === null) {
      for (const box of [told, code, verdict, patch, result, by, mine]) box.replaceChildren();
      return "";
    }
    told.replaceChildren(h("strong", {}, answer.kind), h("span", { class: "wb-hint" }, ` ${answer.rule}, ${answer.file}, line ${answer.line}`),
      h("div", {}, answer.message));
    code.replaceChildren(...answer.code.map(codeLine));
    drawVerdict(answer);
    by.textContent = answer.patch.by === "typed" ? "typed by you" : `by ${answer.patch.by}`;
    patch.replaceChildren(...(answer.patch.text ? answer.patch.lines.map(patchLine) : [h("p", { class: "wb-hint" }, "This patcher has no patch for the warning.")]));
    check.disabled = !answer.patch.text;
    if (typed !== document.activeElement) typed.value = answer.patch.text || answer.code.map((line) => line[1]).join("\n");
    const last = model.get("checked");
    const fits = last.warning === model.get("warning") && last.patch === answer.patch.text;
    result.textContent = fits ? `${last.accepted ? "✓" : "✗"} ${last.says}` : answer.patch.says;
    drawDecisions();
    const said = answer.verdict ? `${answer.verdict.by} says: ${answer.verdict.kind}` : "not judged";
    return [said, mine.textContent, fits ? result.textContent : ""].filter(Boolean).join(". ");
  };
  const fields = () => {
    if (who !== document.activeElement) who.value = model.get("who");
  };

  body.append(
    h("div", { class: "wb-row" }, h("label", { class: "wb-label" }, "Search", search), back, picker, next, count),
    missing,
    h("div", { class: "wb-sk-pair" },
      h("div", { class: "wb-sk-half" }, h("h4", {}, "The warning"), told, code, h("h4", {}, "Is it real?"), verdict),
      h("div", { class: "wb-sk-half" }, h("h4", {}, "The patch ", by), patch,
        h("div", { class: "wb-row" }, check, edit), result, editor,
        h("h4", {}, "Your decision"),
        h("div", { class: "wb-row" }, who, note),
        h("div", { class: "wb-row", role: "group", "aria-label": "Decision" }, accept, reject, person), mine, list)),
  );
  fields();
  view.on(["who", "warning"], fields);
  view.on(["warning"], () => { note.value = ""; });
  return view.start(draw, [], ["decisions", "checked", "missing", "warnings"]);
}

export default { render };
