// The page reads without this. It only adds: a before/after slider, a larger view of pictures, steps that open by link.
"use strict";
for (const box of document.querySelectorAll("[data-slider]")) {
  const range = document.createElement("input");
  Object.assign(range, { type: "range", min: 0, max: 100, value: 50 });
  range.setAttribute("aria-label", box.dataset.slider);
  const move = () => {
    box.style.setProperty("--cut", range.value + "%");
    range.setAttribute("aria-valuetext", range.value + " percent of the first picture");
  };
  range.addEventListener("input", move);
  box.classList.add("sliding");
  box.append(range);
  move();
}
const larger = document.getElementById("larger");
for (const button of document.querySelectorAll("button[data-larger]")) {
  button.addEventListener("click", () => {
    const from = button.querySelector("img");
    const image = larger.querySelector("img");
    image.src = from.src;
    image.alt = from.alt;
    larger.showModal();
  });
}
larger.addEventListener("click", () => larger.close());
const open = () => {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let each = target; each; each = each.parentElement) if (each.tagName === "DETAILS") each.open = true;
  if (target) target.scrollIntoView();
};
addEventListener("hashchange", open);
open();
const all = () => document.querySelectorAll("details");
let opened = [];
addEventListener("beforeprint", () => { opened = [...all()].filter((each) => !each.open); opened.forEach((each) => (each.open = true)); });
addEventListener("afterprint", () => opened.forEach((each) => (each.open = false)));
