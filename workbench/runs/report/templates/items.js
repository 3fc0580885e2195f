"use strict";
const PAGE = 50;
const { rows, items } = JSON.parse(document.getElementById("rows").textContent);
const body = document.querySelector("tbody");
const more = document.getElementById("more");
const inputs = Object.fromEntries(["filter", "study", "arm", "differ"].map((id) => [id, document.getElementById(id)]));
for (const row of rows) {
  const item = items[row.item];
  row.text = [item.study, item.name, item.prompt, row.arm, row.reply, ...row.labels].join("\n").toLowerCase();
}
const heads = [...document.querySelectorAll("thead th")];
let used = []; // columns in which a row that was found has something to say
let found = [];
let shown = 0;
function add(line, text, kind) {
  const cell = line.insertCell();
  cell.className = kind;
  cell.textContent = text; // never markup: prompts and replies are strangers' texts
}
function cells(row) {
  const item = items[row.item];
  return [[item.study, "soft"], [item.name, "mono"], ...row.labels.map((text) => [text, ""]), [item.prompt, "text"],
    [row.arm, "arm"], [row.reply, "text"], ...row.measures.map((text) => [text, "num"]),
    ...row.costs.map((text) => [text, "num soft"])];
}
function show() {
  for (const row of found.slice(shown, shown + PAGE)) {
    const line = body.insertRow();
    cells(row).forEach(([text, kind], column) => used[column] && add(line, text, kind));
  }
  shown = Math.min(found.length, shown + PAGE);
  document.getElementById("count").textContent = `${shown} of ${found.length} rows shown, ${rows.length} in all`;
  more.hidden = shown === found.length;
}
function apply() {
  const words = inputs.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const { study, arm, differ } = inputs;
  found = rows.filter((row) => (!arm.value || row.arm === arm.value)
    && (!study.value || items[row.item].study === study.value)
    && (!differ.checked || items[row.item].differ)
    && words.every((word) => row.text.includes(word)));
  used = heads.map(() => false);
  for (const row of found) cells(row).forEach(([text], column) => { used[column] ||= text !== ""; });
  heads.forEach((head, column) => { head.hidden = !used[column]; });
  body.replaceChildren();
  shown = 0;
  show();
}
for (const input of Object.values(inputs)) input.addEventListener("input", apply);
more.addEventListener("click", show);
apply();
