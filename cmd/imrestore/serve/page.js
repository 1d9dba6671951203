"use strict";
const byId = (id) => document.getElementById(id);
const entries = [];
const waiting = [];
let current = null;
let isBusy = false;

const suffixes = {
  "image/jpeg": ".jpg", "image/png": ".png", "image/tiff": ".tif", "image/webp": ".webp", "image/avif": ".avif",
  "image/heic": ".heic", "image/jxl": ".jxl", "image/x-adobe-dng": ".dng", "image/x-exr": ".exr",
  "image/vnd.radiance": ".hdr", "image/x-portable-anymap": ".ppm",
};

function address() {
  const query = new URLSearchParams();
  const task = byId("task").value;
  if (task !== "anomaly") {
    query.set("strength", byId("strength").value);
    if (byId("format").value) query.set("format", byId("format").value);
  }
  return `/${task}?${query}`;
}

async function send(entry) {
  const headers = { "Content-Type": "application/octet-stream" };
  if (byId("token")) headers.Authorization = `Bearer ${byId("token").value}`;
  for (;;) {
    const answer = await fetch(entry.address, { method: "POST", body: entry.file, headers });
    if (answer.status !== 429) return answer;
    const seconds = Number(answer.headers.get("Retry-After")) || 1;
    await new Promise((wake) => setTimeout(wake, 1000 * seconds));
  }
}

async function work(entry) {
  try {
    const answer = await send(entry);
    const isJson = answer.headers.get("Content-Type").startsWith("application/json");
    if (!answer.ok) throw new Error((await answer.json()).error);
    entry.facts = isJson ? await answer.json() : JSON.parse(answer.headers.get("Imrestore-Record") ?? "{}");
    if (!isJson) {
      const result = await answer.blob();
      entry.result = URL.createObjectURL(result);
      const stem = entry.file.name.replace(/\.[^.]*$/, "");
      entry.download = `${stem}-${entry.task}${suffixes[result.type] ?? ""}`;
    }
    entry.state = "done";
  } catch (error) {
    entry.state = "failed";
    entry.message = error.message;
  }
  entry.item.className = entry.state;
  if (entry === current) show(entry);
}

async function next() {
  if (isBusy) return;
  isBusy = true;
  while (waiting.length) await work(waiting.shift());
  isBusy = false;
}

function start(entry) {
  if (entry.result) URL.revokeObjectURL(entry.result);
  Object.assign(entry, {
    state: "waiting", message: "", result: null, facts: {}, address: address(), task: byId("task").value,
  });
  entry.item.className = entry.state;
  waiting.push(entry);
  show(entry);
  next();
}

function add(file) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = file.name;
  item.append(button);
  byId("list").append(item);
  const entry = { file, item, source: URL.createObjectURL(file) };
  button.addEventListener("click", () => show(entry));
  entries.push(entry);
  start(entry);
}

const canShow = (image, source) => new Promise((tell) => {
  image.onload = () => tell(true);
  image.onerror = () => tell(false);
  image.src = source;
});

async function show(entry) {
  current?.item.removeAttribute("aria-current");
  current = entry;
  entry.item.setAttribute("aria-current", "true");
  byId("viewer").hidden = false;
  byId("name").textContent = entry.file.name;
  const texts = { waiting: "Being worked on \u2026", failed: entry.message, done: "" };
  byId("message").textContent = texts[entry.state];
  byId("message").className = entry.state === "failed" ? "error" : "";
  byId("download").hidden = !entry.result;
  if (entry.result) Object.assign(byId("download"), { href: entry.result, download: entry.download });
  byId("about").replaceChildren(...Object.entries(entry.facts).map(fact));
  delete byId("viewer").dataset.ready;
  const before = await canShow(byId("before"), entry.source);
  const after = entry.result && (await canShow(byId("after"), entry.result));
  if (entry !== current) return;
  const isShown = Boolean(before && after);
  byId("stage").hidden = byId("splitting").hidden = !isShown;
  if (entry.state === "done" && entry.result && !isShown) {
    byId("message").textContent = "Browsers do not show this format; download the result, or choose another format.";
  }
  byId("viewer").dataset.ready = `${entry.file.name} ${entry.state}`;
}

function fact([name, value]) {
  const group = document.createElement("div");
  const term = document.createElement("dt");
  const text = document.createElement("dd");
  term.textContent = name.replaceAll("_", " ");
  text.textContent = typeof value === "object" ? JSON.stringify(value) : value;
  group.append(term, text);
  return group;
}

function split(percent) {
  const value = Math.min(100, Math.max(0, percent));
  byId("split").value = value;
  byId("stage").style.setProperty("--split", `${value}%`);
}

function drag(event) {
  if (event.button !== 0) return;
  const stage = byId("stage");
  event.preventDefault();
  stage.setPointerCapture(event.pointerId);
  const follow = (at) => {
    const box = byId("before").getBoundingClientRect();
    split((100 * (at.clientX - box.left)) / box.width);
  };
  follow(event);
  stage.addEventListener("pointermove", follow);
  const release = () => stage.removeEventListener("pointermove", follow);
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, release, { once: true });
}

function toggleActual() {
  const on = byId("stage").classList.toggle("actual");
  byId("actual").setAttribute("aria-pressed", on);
}

function fitTask() {
  const isInspection = byId("task").value === "anomaly";
  byId("strengths").hidden = byId("formats").hidden = isInspection;
}

byId("stage").addEventListener("pointerdown", drag);
byId("stage").addEventListener("keydown", (event) => {
  if (event.key === ",") split(Number(byId("split").value) - 5);
  if (event.key === ".") split(Number(byId("split").value) + 5);
  if (event.key === "1") toggleActual();
});
byId("split").addEventListener("input", (event) => split(event.target.value));
byId("actual").addEventListener("click", toggleActual);
byId("again").addEventListener("click", () => current && current.state !== "waiting" && start(current));
byId("strength").addEventListener("input", (event) => { byId("shown").value = event.target.value; });
byId("task").addEventListener("change", fitTask);
byId("settings").addEventListener("submit", (event) => event.preventDefault());
byId("files").addEventListener("change", (event) => {
  for (const file of event.target.files) add(file);
  event.target.value = "";
});
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    byId("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") for (const file of event.dataTransfer.files) add(file);
  });
}
fitTask();
