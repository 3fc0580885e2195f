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
let found = [];
let shown = 0;
function add(line, text, kind) {
  const cell = line.insertCell();
  cell.className = kind;
  cell.textContent = text; // never markup: prompts and replies are strangers' texts
}
function show() {
  for (const row of found.slice(shown, shown + PAGE)) {
    const item = items[row.item];
    const line = body.insertRow();
    add(line, item.study, "soft");
    add(line, item.name, "mono");
    for (const label of row.labels) add(line, label, "");
    add(line, item.prompt, "text");
    add(line, row.arm, "arm");
    add(line, row.reply, "text");
    for (const value of row.measures) add(line, value, "num");
    for (const value of row.costs) add(line, value, "num soft");
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
  body.replaceChildren();
  shown = 0;
  show();
}
for (const input of Object.values(inputs)) input.addEventListener("input", apply);
more.addEventListener("click", show);
apply();
