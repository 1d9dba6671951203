"use strict";
const byId = (id) => document.getElementById(id);
const stage = byId("stage");
const strip = byId("strip");
const pictures = [...strip.children];
const layers = ["before", "after", "difference", "marks", "errors"].map(byId);
const largestZoom = 8;
let current = null;
let view = null; // size of the picture, and where it lies in the stage, in CSS pixels

const pixel = () => 1 / window.devicePixelRatio; // the scale of 1:1

const fitted = () => // a small picture is enlarged, by 2 at most
  Math.min(stage.clientWidth / view.width, stage.clientHeight / view.height, 2 * pixel());
const allowed = (scale) =>
  Math.min(Math.max(scale, Math.min(fitted(), pixel())), largestZoom * pixel());

function place(scale, x, y) {
  view.scale = allowed(scale);
  view.isFitted = view.scale <= fitted() * 1.0001;
  const clamp = (offset, size, room) =>
    size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, offset));
  view.x = clamp(x, view.width * view.scale, stage.clientWidth);
  view.y = clamp(y, view.height * view.scale, stage.clientHeight);
  stage.style.setProperty("--s", view.scale);
  stage.style.setProperty("--x", `${view.x}px`);
  stage.style.setProperty("--y", `${view.y}px`);
  stage.classList.toggle("zoomed", !view.isFitted);
  stage.classList.toggle("magnified", view.scale > 1.5 * pixel());
  byId("zoom").value = `${Math.round((100 * view.scale) / pixel())} %`;
}

function zoomAround(scale, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const to = allowed(scale);
  const factor = to / view.scale;
  place(to, x - (x - view.x) * factor, y - (y - view.y) * factor);
}

function centre(left, top, width, height) {
  const scale = pixel();
  place(scale, stage.clientWidth / 2 - (left + width / 2) * scale,
    stage.clientHeight / 2 - (top + height / 2) * scale);
}

const fit = () => place(fitted(), 0, 0);
const actual = () => zoomAround(pixel());
const pan = (x, y) => place(view.scale, view.x + x, view.y + y);

function split(percent) {
  const value = Math.min(100, Math.max(0, percent));
  byId("split").value = value;
  stage.style.setProperty("--split", `${value}%`);
}

const wholes = ["removed", "error"]; // in place of before and after, one at a time

function toggle(name) {
  if (byId(name).hidden) return;
  const on = !stage.classList.contains(name);
  for (const each of wholes) {
    stage.classList.toggle(each, on && each === name);
    byId(each).setAttribute("aria-pressed", on && each === name);
  }
}

function pixelsOf(image) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return [canvas, context, context.getImageData(0, 0, canvas.width, canvas.height)];
}

// The picture before is the result and what was removed: see restore/batch/views.py.
async function canvases(after, gain) {
  const stored = new Image();
  stored.src = after.dataset.difference;
  await Promise.all([after.decode(), stored.decode()]);
  const [before, beforeContext, sum] = pixelsOf(after);
  const [removed, removedContext, difference] = pixelsOf(stored);
  for (let i = 0; i < sum.data.length; i += 1) {
    if (i % 4 === 3) continue;
    const change = (difference.data[i] - 128) / gain;
    sum.data[i] += change;
    difference.data[i] = 128 + 8 * change;
  }
  beforeContext.putImageData(sum, 0, 0);
  removedContext.putImageData(difference, 0, 0);
  return [before, removed];
}

function laidOut(element, { left, top, width, height }) {
  for (const [name, value] of Object.entries({ left, top, width, height })) {
    element.style[name] = `${value}px`;
  }
  return element;
}

async function fill(views) {
  view = { width: +views.dataset.width, height: +views.dataset.height, scale: 1, x: 0, y: 0 };
  stage.style.setProperty("--ratio", view.height / view.width);
  const shown = view;
  const images = [...views.querySelectorAll("img")];
  const sheets = layers.map((layer) => {
    const sheet = document.createElement("div");
    layer.replaceChildren(sheet);
    return sheet;
  });
  byId("places").replaceChildren();
  byId("scale").textContent = `expected error, white: ${views.dataset.errorWhite} of 255`;
  fit();
  for (const image of images) {
    const box = Object.fromEntries(
      ["left", "top", "width", "height"].map((name) => [name, +image.dataset[name]]));
    sheets[1].append(laidOut(image, box));
    if (image.dataset.error) {
      const error = new Image();
      error.src = image.dataset.error;
      sheets[4].append(laidOut(error, box));
    }
    const [before, removed] = await canvases(image, +views.dataset.gain);
    if (view !== shown) return; // another picture was chosen meanwhile
    sheets[0].append(laidOut(before, box));
    sheets[2].append(laidOut(removed, box));
    if (image === images[0]) continue;
    sheets[3].append(laidOut(document.createElement("i"), box));
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = image.dataset.name;
    button.title = `${image.dataset.name}, at 1:1`;
    button.addEventListener("click", () => centre(box.left, box.top, box.width, box.height));
    byId("places").append(button);
  }
  stage.dataset.ready = current.dataset.name;
}

function show(picture) {
  current?.removeAttribute("aria-current");
  current = picture;
  byId("viewer").hidden = !picture;
  if (!picture) return;
  picture.setAttribute("aria-current", "true");
  picture.scrollIntoView({ block: "nearest", inline: "nearest" });
  const content = picture.querySelector("template").content.cloneNode(true);
  const views = content.querySelector(".views");
  byId("name").textContent = picture.dataset.name;
  byId("about").replaceChildren(content.querySelector(".about"));
  for (const part of document.querySelectorAll(".viewing")) part.hidden = !views;
  if (!views?.dataset.errorWhite && stage.classList.contains("error")) toggle("error");
  byId("error").hidden = !views?.dataset.errorWhite;
  delete stage.dataset.ready;
  view = null;
  if (views) fill(views);
}

const chosen = () => pictures.filter((picture) => !picture.hidden);

function step(by) {
  const among = chosen();
  const next = among[among.indexOf(current) + by];
  if (next) show(next);
}

function filter() {
  const words = byId("filter").value.toLowerCase().split(/\s+/);
  for (const picture of pictures) {
    const name = picture.dataset.name.toLowerCase();
    picture.hidden = !words.every((word) => name.includes(word));
  }
  const among = chosen();
  byId("found").textContent = `${among.length} of ${pictures.length}`;
  if (!among.includes(current)) show(among[0] ?? null);
}

const at = (event) => {
  const box = stage.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};

function drag(event) {
  if (!view || event.button !== 0) return;
  const [x] = at(event);
  const divider = (parseFloat(byId("split").value) / 100) * stage.clientWidth;
  const isWhole = wholes.some((each) => stage.classList.contains(each));
  const moves = !view.isFitted && (isWhole || Math.abs(x - divider) > 20);
  if (!moves && isWhole) return;
  stage.setPointerCapture(event.pointerId);
  let [lastX, lastY] = at(event);
  const follow = (later) => {
    const [nowX, nowY] = at(later);
    if (moves) pan(nowX - lastX, nowY - lastY);
    else split((100 * nowX) / stage.clientWidth);
    [lastX, lastY] = [nowX, nowY];
  };
  const release = () => {
    stage.removeEventListener("pointermove", follow);
    stage.removeEventListener("pointerup", release);
    stage.removeEventListener("pointercancel", release);
  };
  if (!moves) follow(event);
  stage.addEventListener("pointermove", follow);
  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", release);
}

const keys = {
  ArrowLeft: () => pan(80, 0), ArrowRight: () => pan(-80, 0),
  ArrowUp: () => pan(0, 80), ArrowDown: () => pan(0, -80),
  "+": () => zoomAround(view.scale * 1.5), "-": () => zoomAround(view.scale / 1.5),
  "=": () => zoomAround(view.scale * 1.5),
  f: fit, 0: fit, 1: actual, r: () => toggle("removed"), e: () => toggle("error"),
  ",": () => split(+byId("split").value - 5), ".": () => split(+byId("split").value + 5),
};

stage.addEventListener("keydown", (event) => {
  const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act();
});
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "n") step(1);
  if (event.key === "p") step(-1);
});
stage.addEventListener("pointerdown", drag);
stage.addEventListener("dblclick", (event) => (view.isFitted ? zoomAround(pixel(), ...at(event)) : fit()));
stage.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
  event.preventDefault();
  zoomAround(view.scale * Math.exp(-event.deltaY / 300), ...at(event));
}, { passive: false });
byId("split").addEventListener("input", (event) => split(event.target.value));
byId("filter").addEventListener("input", filter);
byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("in").addEventListener("click", keys["+"]);
byId("out").addEventListener("click", keys["-"]);
byId("fit").addEventListener("click", fit);
byId("actual").addEventListener("click", actual);
for (const name of wholes) byId(name).addEventListener("click", () => toggle(name));
strip.addEventListener("click", (event) => {
  const picture = event.target.closest("li");
  if (picture) show(picture);
});
window.addEventListener("resize", () => {
  if (view) (view.isFitted ? fit() : place(view.scale, view.x, view.y));
});
filter();
