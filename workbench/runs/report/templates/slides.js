// Arrow keys turn the slides; Page Down and Page Up (a presenter's clicker) do where the rest of a slide is in view.
const slides = [...document.querySelectorAll("main > section")];
addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1 }[event.key];
  if (!step || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
  const tops = slides.map((slide) => slide.getBoundingClientRect());
  const at = Math.max(0, tops.findLastIndex((box) => box.top < 10));
  const seen = step > 0 ? tops[at].bottom <= innerHeight + 10 : tops[at].top > -10;
  if (event.key.startsWith("Page") && !seen) return;
  const back = step < 0 && tops[at].top <= -10 ? at : at + step;  // first to the beginning of a long one
  slides[Math.min(Math.max(back, 0), slides.length - 1)].scrollIntoView();
  event.preventDefault();
});
