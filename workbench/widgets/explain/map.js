// The taxonomy of map.py as a tree: arrow keys walk it as the ARIA practices say, Enter or a click opens a leaf.

function render({ model, el }) {
  const numbers = () => {
    const now = view.answer();
    return [["", "value"], [["leaf", now.title], ["branch", now.path.join(" › ")], ["here", now.function || now.reason], ["what it is", now.text], ...now.papers.map((one) => ["key paper", one])], "the chosen leaf"];
  };
  const view = explorer(model, el, { numbers });
  const { body } = view;
  const tree = h("ul", { class: "wb-tree", role: "tree", "aria-label": "The survey's taxonomy" });
  const detail = h("div", { class: "wb-leaf" });

  const open = (node, yes) => node.setAttribute("aria-expanded", String(yes));
  const groups = new Map();
  const group = (path) => {
    if (!path.length) return tree;
    const name = path.join("/");
    if (!groups.has(name)) {
      const list = h("ul", { role: "group" });
      const node = h("li", { role: "treeitem", tabindex: -1, "aria-expanded": "true" }, h("span", { class: "wb-branch" }, path.at(-1)), list);
      group(path.slice(0, -1)).append(node);
      groups.set(name, list);
    }
    return groups.get(name);
  };
  for (const [key, path, title, runs] of model.get("leaves")) {
    group(path).append(h("li", { role: "treeitem", tabindex: -1, "data-leaf": key, "aria-label": `${title}, ${runs ? "runs here" : "not run here"}` }, h("span", { class: runs ? "wb-runs" : "wb-rests" }, title)));
  }
  const items = () => [...tree.querySelectorAll("li")].filter((node) => !node.parentElement.closest('li[aria-expanded="false"]'));
  const stand = (node, focus) => {
    for (const one of tree.querySelectorAll("li")) one.tabIndex = one === node ? 0 : -1;
    if (focus) node.focus();
  };
  const choose = (node) => {
    stand(node, true);
    if (node.dataset.leaf) {
      view.send({ leaf: node.dataset.leaf });
    } else open(node, node.getAttribute("aria-expanded") !== "true");
  };
  tree.addEventListener("click", (event) => {
    const node = event.target.closest("li");
    if (node) choose(node);
  });
  tree.addEventListener("keydown", (event) => {
    const node = event.target.closest("li");
    const list = items();
    const here = list.indexOf(node);
    const folded = node.getAttribute("aria-expanded");
    if (event.key === "ArrowDown") stand(list[Math.min(list.length - 1, here + 1)], true);
    else if (event.key === "ArrowUp") stand(list[Math.max(0, here - 1)], true);
    else if (event.key === "Home") stand(list[0], true);
    else if (event.key === "End") stand(list.at(-1), true);
    else if (event.key === "ArrowRight" && folded === "false") open(node, true);
    else if (event.key === "ArrowRight" && folded === "true") stand(list[Math.min(list.length - 1, here + 1)], true);
    else if (event.key === "ArrowLeft" && folded === "true") open(node, false);
    else if (event.key === "ArrowLeft") stand(node.parentElement.closest("li") || node, true);
    else if (event.key === "Enter" || event.key === " ") choose(node);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const draw = (now) => {
    detail.replaceChildren();
    for (const node of tree.querySelectorAll("[data-leaf]")) node.setAttribute("aria-selected", String(node.dataset.leaf === model.get("leaf")));
    if (!now) return "";
    detail.append(h("p", { class: "wb-legendline" }, now.path.join(" › ")), h("h4", {}, now.title), h("p", {}, now.text));
    if (now.function) detail.append(h("p", {}, "Runs here: ", h("code", {}, now.function)), h("pre", { class: "wb-call", tabindex: 0 }, now.call));
    else detail.append(h("p", {}, "Not run here: ", now.reason));
    if (now.papers.length) detail.append(h("ul", { class: "wb-notes" }, ...now.papers.map((one) => h("li", {}, one))));
    return `${now.title}: ${now.function ? `runs here, ${now.function}` : `not run here, ${now.reason}`}`;
  };
  const fold = (yes) => tree.querySelectorAll("[aria-expanded]").forEach((node) => open(node, yes));
  body.append(
    h("div", { class: "wb-row" }, button("Open all", () => fold(true)), button("Fold all", () => fold(false)), h("span", { class: "wb-legendline" }, "● runs here   ○ does not, and why")),
    h("div", { class: "wb-twocolumns" }, tree, detail),
  );
  const end = view.start(draw);
  stand(tree.querySelector(`[aria-selected="true"]`) || tree.querySelector("li"), false);
  return end;
}

export default { render };
