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
const heads = document.querySelectorAll("th");
let found = [];
let shown = 0;
function cells(row) { // [text, class] of each column
  const item = items[row.item];
  const some = (texts, kind) => texts.map((text) => [text, kind]);
  return [[item.study, "soft"], [item.name, "mono"], ...some(row.labels, ""), [item.prompt, "text"], [row.arm, "arm"],
    [row.reply, "text"], ...some(row.measures, "num"), ...some(row.costs, "num soft")];
}
function show() {
  for (const row of found.slice(shown, shown + PAGE)) {
    const line = body.insertRow();
    cells(row).forEach(([text, kind], k) => {
      const cell = line.insertCell();
      cell.className = kind;
      cell.hidden = heads[k].hidden;
      cell.textContent = text; // never markup: prompts and replies are strangers' texts
    });
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
  const filled = new Set(); // another study's columns are not shown
  for (const row of found) cells(row).forEach(([text], k) => text && filled.add(k));
  heads.forEach((head, k) => { head.hidden = !filled.has(k); });
  body.replaceChildren();
  shown = 0;
  show();
}
for (const input of Object.values(inputs)) input.addEventListener("input", apply);
more.addEventListener("click", show);
apply();
