"use strict";
const byId = (id) => document.getElementById(id);
const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};
const drawn = (name, attributes = {}, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};

const settings = JSON.parse(byId("settings").textContent);
const parts = JSON.parse(byId("parts").textContent);
const severity = ["failed", "good", "review", "unfamiliar", "defective"];
const columns = { part: 0, reconstruction: 1, mask: 2 };
const rowHeight = 64;
const largestZoom = 16;
const blinkMs = 700;

for (const [order, part] of parts.entries()) {
  Object.assign(part, { order, note: part.note ?? "", score: part.score ?? 0, boxes: part.boxes ?? [] });
  part.wasScored = part.verdict !== "failed";
  part.isNotGood = part.wasScored && part.verdict !== "good";
  part.isNear = part.relative > 0 && Math.abs(Math.log(part.relative)) <= Math.log(settings.near);
  part.sought = part.name.toLowerCase();
}

// ---- The operator's verdicts

let verdicts = {};
let isKept = true; // some browsers keep nothing for pages that are files
const keyOf = (part) => `${part.name}\n${part.score}`; // another part of that name is another part

try {
  verdicts = JSON.parse(localStorage.getItem(settings.storage)) ?? {};
} catch {
  isKept = false;
}

function judge(verdict) {
  if (!current?.isNotGood) return;
  const key = keyOf(current);
  if (!verdict || verdicts[key] === verdict) delete verdicts[key];
  else verdicts[key] = verdict;
  try {
    localStorage.setItem(settings.storage, JSON.stringify(verdicts));
  } catch {
    isKept = false;
  }
  showVerdict();
  countVerdicts();
  redraw();
}

function showVerdict() {
  const verdict = verdicts[keyOf(current)];
  byId("confirmed").setAttribute("aria-pressed", verdict === "confirmed");
  byId("false-alarm").setAttribute("aria-pressed", verdict === "false alarm");
  byId("judge").hidden = !current.isNotGood;
}

function countVerdicts() {
  const judged = parts.filter((part) => part.isNotGood && verdicts[keyOf(part)]);
  const left = parts.filter((part) => part.isNotGood).length - judged.length;
  const warning = isKept || !judged.length ? "" : " This browser does not keep them: save them before you close the page.";
  byId("judged").textContent = `${judged.length} judged, ${left} left.${warning}`;
  byId("save").disabled = !judged.length;
}

function asCsv() {
  const cell = (text) => {
    const safe = /^[=+\-@\t\r\n]/.test(text) ? `'${text}` : text; // no formula for a spreadsheet
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  // What is no UTF-8 in a name is written as in results.csv.
  const whole = (text) => text.replace(/\p{Surrogate}/gu, (one) => `\\u${one.charCodeAt(0).toString(16)}`);
  const judged = parts.filter((part) => part.isNotGood && verdicts[keyOf(part)]);
  const lines = judged.map((part) => `${cell(whole(part.moved ?? part.name))},${verdicts[keyOf(part)]}\n`);
  return `file,verdict\n${lines.join("")}`;
}

function save() {
  const address = URL.createObjectURL(new Blob([asCsv()], { type: "text/csv" }));
  make("a", { href: address, download: "verdicts.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

// ---- A part as SVG, in pixels of the part

function tileOf([left, top, width, height, row, shownWidth, shownHeight], column, sheet) {
  const inside = drawn("image", { href: sheet.address, width: sheet.width, height: sheet.height });
  return drawn("svg", {
    x: left, y: top, width, height, preserveAspectRatio: "none",
    viewBox: `${column * shownWidth} ${row} ${shownWidth} ${shownHeight}`,
  }, inside);
}

function layer(part, kind) {
  if (part.sheet) {
    const last = part.tiles.at(-1);
    const sheet = {
      address: `data:image/webp;base64,${part.sheet}`,
      width: 3 * Math.max(...part.tiles.map((tile) => tile[5])),
      height: last[4] + last[6],
    };
    return part.tiles.map((tile) => tileOf(tile, columns[kind], sheet));
  }
  const path = part.files?.[kind === "part" ? "overlay" : kind];
  if (!path) return [];
  const [width, height] = part.size;
  return [drawn("image", { href: path, width, height, preserveAspectRatio: "none", class: "linked" })];
}

function outlines(part, scale) {
  const least = 14 / scale; // a box is visible at any scale
  return part.boxes.flatMap(([left, top, width, height]) => {
    const [w, h] = [Math.max(width + 4 / scale, least), Math.max(height + 4 / scale, least)];
    const place = { x: left + (width - w) / 2, y: top + (height - h) / 2, width: w, height: h };
    return [drawn("rect", { class: "halo", ...place }), drawn("rect", { class: "box", ...place })];
  });
}

function maskFilter(id) { // what is light becomes red, everything else transparent
  const toAlpha = drawn("feColorMatrix", { values: "0 0 0 0 1  0 0 0 0 0.1  0 0 0 0 0.1  0.34 0.33 0.33 0 0" });
  const sharp = drawn("feComponentTransfer", {}, drawn("feFuncA", { type: "discrete", tableValues: "0 0.6" }));
  return drawn("filter", { id, x: 0, y: 0, width: 1, height: 1, "color-interpolation-filters": "sRGB" }, toAlpha, sharp);
}

function still(part, kind, box, scale, hasOutlines) {
  const content = [...layer(part, kind), ...(hasOutlines ? outlines(part, scale) : [])];
  return drawn("svg", { viewBox: box.join(" "), "aria-hidden": "true" }, ...content);
}

const wholeOf = (part) => [0, 0, part.size[0], part.size[1]];

// ---- The list: only the rows in sight are in the document

const list = byId("list");
const rows = byId("rows");
let among = [];
let current = null;

const shows = {
  all: ["all", () => true],
  "not-good": ["not good", (part) => part.isNotGood],
  defective: ["defective", (part) => part.verdict === "defective"],
  review: ["review", (part) => part.verdict === "review"],
  unfamiliar: ["unfamiliar", (part) => part.verdict === "unfamiliar"],
  near: ["near the threshold", (part) => part.isNear],
  good: ["good", (part) => part.verdict === "good"],
  failed: ["not inspected", (part) => part.verdict === "failed"],
  open: ["without your verdict", (part) => part.isNotGood && !verdicts[keyOf(part)]],
  "false-alarm": ["your false alarms", (part) => part.isNotGood && verdicts[keyOf(part)] === "false alarm"],
};
const byName = (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
const orders = {
  worst: (a, b) => severity.indexOf(b.verdict) - severity.indexOf(a.verdict) || b.score - a.score || byName(a, b),
  highest: (a, b) => b.score - a.score || byName(a, b),
  lowest: (a, b) => a.score - b.score || byName(a, b),
  unfamiliar: (a, b) => (a.familiarity ?? 2) - (b.familiarity ?? 2) || b.score - a.score,
  name: byName,
  order: (a, b) => a.order - b.order,
};
const times = (part) => (part.relative === undefined ? part.score.toPrecision(3) : `${part.relative.toFixed(2)} \u00d7`);

function choose() {
  const words = byId("search").value.toLowerCase().split(/\s+/);
  const [, isShown] = shows[byId("show").value];
  among = parts.filter((part) => isShown(part) && words.every((word) => part.sought.includes(word)));
  among.sort(orders[byId("sort").value]);
  const count = (number) => number.toLocaleString("en");
  byId("found").textContent = `${count(among.length)} of ${count(parts.length)}`;
  rows.style.height = `${among.length * rowHeight}px`;
  list.scrollTop = 0;
  redraw();
  if (!among.includes(current)) show(among[0] ?? null);
  else reveal();
}

function rowOf(part, index) {
  const small = part.sheet ? still(part, "part", wholeOf(part), 52 / Math.max(...part.size), true) : make("i");
  const at = part.name.lastIndexOf("/") + 1;
  const own = verdicts[keyOf(part)];
  const about = [make("b", { class: part.verdict }, part.verdict), own ? ` \u2192 ${own}` : "", part.note ? `: ${part.note}` : ""];
  const row = make("div", {
    class: "row", role: "option", id: `part-${part.order}`, style: `top: ${index * rowHeight}px`, title: part.name,
    "aria-selected": part === current, "aria-posinset": index + 1, "aria-setsize": among.length,
  }, small, make("div", {}, make("span", {}, part.name.slice(at)), make("small", {}, ...about)),
  make("b", {}, part.wasScored ? times(part) : "", make("small", {}, part.name.slice(0, at).slice(-24))));
  row.addEventListener("click", () => show(part));
  return row;
}

function redraw() {
  const first = Math.max(0, Math.floor(list.scrollTop / rowHeight) - 3);
  const last = Math.min(among.length, Math.ceil((list.scrollTop + list.clientHeight) / rowHeight) + 3);
  rows.replaceChildren(...among.slice(first, last).map((part, index) => rowOf(part, first + index)));
  if (current && byId(`part-${current.order}`)) list.setAttribute("aria-activedescendant", `part-${current.order}`);
  else list.removeAttribute("aria-activedescendant");
}

function reveal() {
  const top = among.indexOf(current) * rowHeight;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + rowHeight > list.scrollTop + list.clientHeight) list.scrollTop = top + rowHeight - list.clientHeight;
  redraw();
}

function go(to) {
  if (among.length) show(among[Math.min(Math.max(to, 0), among.length - 1)]);
}
const step = (by) => go(among.indexOf(current) + by);

// ---- The stage

const stage = byId("stage");
const shown = { outline: true, mask: false, reconstruction: false, blink: false };
let view = null; // its middle in pixels of the part, and CSS pixels for each of these
let blinking = 0;
let isOther = false;

const pixel = () => 1 / window.devicePixelRatio; // the scale of 1:1
const fitted = () => Math.min(stage.clientWidth / current.size[0], stage.clientHeight / current.size[1], 6 * pixel());
const allowed = (scale) => Math.min(Math.max(scale, Math.min(fitted(), pixel())), largestZoom * pixel());

function place(scale, x, y) {
  const [width, height] = current.size;
  const to = allowed(scale);
  const clamp = (middle, size, room) => (size * to <= room ? size / 2 : Math.min(Math.max(middle, room / to / 2), size - room / to / 2));
  view = { scale: to, x: clamp(x, width, stage.clientWidth), y: clamp(y, height, stage.clientHeight), isFitted: Math.abs(to / fitted() - 1) < 1e-4 };
  draw();
}
const fit = () => place(fitted(), current.size[0] / 2, current.size[1] / 2);
const actual = () => {
  const [left, top, width, height] = current.boxes[0] ?? [...(current.peak ?? [0, 0]), 1, 1];
  const isSmall = width < stage.clientWidth && height < stage.clientHeight;
  place(pixel(), ...(isSmall ? [left + width / 2, top + height / 2] : current.peak));
};
const pan = (x, y) => place(view.scale, view.x - x / view.scale, view.y - y / view.scale);
function zoomAround(scale, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const to = allowed(scale);
  const [fromX, fromY] = [x - stage.clientWidth / 2, y - stage.clientHeight / 2];
  place(to, view.x + fromX / view.scale - fromX / to, view.y + fromY / view.scale - fromY / to);
}

function draw() {
  const { scale, x, y } = view;
  const [width, height] = [stage.clientWidth / scale, stage.clientHeight / scale];
  const kind = shown.reconstruction !== isOther ? "reconstruction" : "part";
  const content = layer(current, kind);
  if (current.sheet && current.tiles.length > 1) {
    const [left, top, w, h] = current.tiles[1];
    content.push(drawn("rect", { class: "detail", x: left, y: top, width: w, height: h }));
  }
  if (shown.mask) content.push(maskFilter("red"), drawn("g", { filter: "url(#red)" }, ...layer(current, "mask")));
  if (shown.outline) content.push(...outlines(current, scale));
  const picture = drawn("svg", {
    viewBox: `${x - width / 2} ${y - height / 2} ${width} ${height}`, "aria-hidden": "true",
    class: scale > 1.5 * pixel() ? "magnified" : "",
  }, ...content);
  for (const image of picture.querySelectorAll(".linked")) {
    image.addEventListener("error", () => {
      byId("missing").textContent = `Its pictures are in the folder of the report: ${decodeURIComponent(image.getAttribute("href"))}`;
      byId("missing").hidden = false;
    });
  }
  for (const old of stage.querySelectorAll("svg")) old.remove();
  stage.prepend(picture);
  stage.classList.toggle("zoomed", scale > fitted() * 1.0001);
  byId("zoom").value = `${Math.round((100 * scale) / pixel())} %`;
  byId("what").textContent = kind;
}

function toggle(name) {
  shown[name] = !shown[name];
  byId(name).setAttribute("aria-pressed", shown[name]);
  clearInterval(blinking);
  isOther = false;
  if (shown.blink) blinking = setInterval(() => { isOther = !isOther; if (view) draw(); }, blinkMs);
  if (view) draw();
}

// ---- One part

function fact(term, value) {
  return make("div", {}, make("dt", {}, term), make("dd", {}, value));
}

function show(part) {
  current = part;
  view = null;
  byId("viewer").hidden = !part;
  if (!part) return redraw();
  reveal();
  byId("name").textContent = part.name;
  byId("verdict").textContent = part.verdict;
  byId("verdict").className = part.verdict;
  byId("note").textContent = part.note;
  byId("missing").hidden = true;
  for (const id of ["tools", "stage", "about", "links"]) byId(id).hidden = id !== "tools" && !part.wasScored;
  showVerdict();
  if (!part.wasScored) return undefined;
  const facts = [["score", part.score.toPrecision(4)], ["of the threshold", times(part)], ["size, pixels", part.size.join(" \u00d7 ")],
    ["places", part.places ?? 0], ["largest place, pixels", part.area ?? 0]];
  if (part.familiarity !== undefined) facts.push(["familiarity", part.familiarity.toPrecision(3)]);
  if (part.moved) facts.push(["moved to", part.moved]);
  byId("about").replaceChildren(...facts.map(([term, value]) => fact(term, value)));
  const links = [["original", part.original], ...Object.entries(part.files ?? {})].filter(([, path]) => path);
  byId("links").replaceChildren("In the folder of the report: ",
    ...links.flatMap(([kind, path], index) => [index ? ", " : "", make("a", { href: path }, kind)]));
  fit();
  stage.dataset.ready = part.name;
  return undefined;
}

// ---- Paper: a list of the parts in question, then half a page for each

function print() {
  const asked = among.filter((part) => part.isNotGood);
  const lines = asked.map((part) => make("li", {}, make("span", {}, `\u200e${part.name}`), make("b", { class: part.verdict }, `${part.verdict} ${times(part)}`)));
  const articles = asked.map((part) => {
    const pictures = [["part", wholeOf(part)], ["reconstruction", wholeOf(part)]];
    if (part.tiles?.length > 1) pictures.splice(1, 1, ["part", part.tiles[1].slice(0, 4)], ["reconstruction", part.tiles[1].slice(0, 4)]);
    const figures = pictures.map(([kind, box], index) => make("figure", {},
      still(part, kind, box, 300 / Math.max(...box.slice(2)), kind === "part"),
      make("figcaption", {}, index === 1 && pictures.length === 3 ? "most suspicious place" : kind)));
    const own = verdicts[keyOf(part)] ? `; operator: ${verdicts[keyOf(part)]}` : "";
    const places = part.places === 1 ? "1 place" : `${part.places ?? 0} places`;
    const about = `${part.verdict}, ${times(part)}, ${places}${part.note ? `, ${part.note}` : ""}${own}`;
    return make("article", {}, make("h3", {}, part.name), make("p", {}, about), make("div", { class: "pictures" }, ...figures));
  });
  byId("printed").replaceChildren(make("h2", {}, `${asked.length} parts that are not good`), make("ol", {}, ...lines), ...articles);
}

// ---- Events

const at = (event) => {
  const box = stage.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};

stage.addEventListener("pointerdown", (event) => {
  if (!view || view.isFitted || event.button !== 0) return;
  stage.setPointerCapture(event.pointerId);
  let [lastX, lastY] = at(event);
  const follow = (later) => {
    const [x, y] = at(later);
    pan(x - lastX, y - lastY);
    [lastX, lastY] = [x, y];
  };
  const release = () => {
    for (const [name, handler] of [["pointermove", follow], ["pointerup", release], ["pointercancel", release]]) stage.removeEventListener(name, handler);
  };
  for (const [name, handler] of [["pointermove", follow], ["pointerup", release], ["pointercancel", release]]) stage.addEventListener(name, handler);
});
stage.addEventListener("dblclick", (event) => { if (view) view.isFitted ? zoomAround(pixel(), ...at(event)) : fit(); });
stage.addEventListener("wheel", (event) => {
  if (!view || (!event.ctrlKey && !event.metaKey)) return; // the page scrolls
  event.preventDefault();
  zoomAround(view.scale * Math.exp(-event.deltaY / 300), ...at(event));
}, { passive: false });

const onPicture = (act) => () => { if (view) act(); };
const larger = onPicture(() => zoomAround(view.scale * 1.5));
const smaller = onPicture(() => zoomAround(view.scale / 1.5));
const moves = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] };
const keys = {
  n: () => step(1), p: () => step(-1), "+": larger, "=": larger, "-": smaller, f: onPicture(fit), 1: onPicture(actual),
  o: () => toggle("outline"), m: () => toggle("mask"), r: () => toggle("reconstruction"), b: () => toggle("blink"),
  c: () => judge("confirmed"), x: () => judge("false alarm"), u: () => judge(""), "/": () => byId("search").focus(),
  Escape: () => { if (shown.blink) toggle("blink"); },
};
stage.addEventListener("keydown", (event) => {
  if (!view || !moves[event.key]) return;
  event.preventDefault();
  pan(...moves[event.key]);
});
list.addEventListener("keydown", (event) => {
  const page = Math.max(1, Math.floor(list.clientHeight / rowHeight) - 1);
  const index = among.indexOf(current);
  const to = { ArrowDown: index + 1, ArrowUp: index - 1, PageDown: index + page, PageUp: index - page, Home: 0, End: among.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  go(to);
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
  const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || !current) return;
  event.preventDefault();
  act();
});
for (const [id, act] of Object.entries({
  previous: () => step(-1), next: () => step(1), in: larger, out: smaller, fit: onPicture(fit), actual: onPicture(actual),
  outline: () => toggle("outline"), mask: () => toggle("mask"), reconstruction: () => toggle("reconstruction"), blink: () => toggle("blink"),
  confirmed: () => judge("confirmed"), "false-alarm": () => judge("false alarm"), save,
})) byId(id).addEventListener("click", act);
byId("show").addEventListener("change", choose);
byId("sort").addEventListener("change", choose);
byId("search").addEventListener("input", choose);
list.addEventListener("scroll", redraw);
window.addEventListener("beforeprint", print);
window.addEventListener("resize", () => {
  if (!stage.clientWidth) return; // on paper
  redraw();
  if (view) view.isFitted ? fit() : place(view.scale, view.x, view.y);
});

for (const [value, [text, isShown]] of Object.entries(shows)) {
  const count = parts.filter(isShown).length;
  const isOpen = value === "open" || value === "false-alarm"; // their counts change
  if (isOpen || count || value === "all") byId("show").append(make("option", { value }, isOpen ? text : `${text} (${count.toLocaleString("en")})`));
}
byId("work").hidden = false;
countVerdicts();
choose();
