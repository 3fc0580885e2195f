"use strict";
const box = document.getElementById("filter");
const count = document.getElementById("count");
function apply() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const section of document.querySelectorAll("section")) {
    let here = 0;
    for (const row of section.querySelectorAll("tr[data-text]")) {
      const hit = words.every((word) => row.dataset.text.includes(word));
      row.hidden = !hit;
      here += hit;
    }
    section.hidden = here === 0;
    shown += here;
  }
  count.textContent = shown + (shown === 1 ? " run shown" : " runs shown");
}
box.addEventListener("input", apply);
for (const head of document.querySelectorAll("th[data-sort]")) {
  const sort = () => {
    const body = head.closest("table").tBodies[0];
    const column = head.cellIndex;
    const way = head.dataset.way === "up" ? "down" : "up";
    for (const other of head.parentElement.cells) { delete other.dataset.way; other.removeAttribute("aria-sort"); }
    head.dataset.way = way;
    head.setAttribute("aria-sort", way === "up" ? "ascending" : "descending");
    const key = (row) => row.cells[column].dataset.key ?? row.cells[column].textContent.trim();
    const rows = [...body.rows].sort((a, b) => {
      const x = key(a), y = key(b);
      if (x === "" || y === "") return (x === "") - (y === "");
      const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
      return way === "up" ? order : -order;
    });
    body.append(...rows);
  };
  head.addEventListener("click", sort);
  head.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); } });
}
apply();
