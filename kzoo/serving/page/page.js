// A picture or the camera goes to the service; boxes, masks and classes come back and are drawn here.
import { layClasses, layRuns } from "/page/masks.js";

const LOWEST = 0.01; // asked for, so that the slider needs no further request
const LONGEST = 1280; // pixels of a camera's picture
const OPACITY = 110;
const part = (id) => document.getElementById(id);
const canvas = part("canvas"), context = canvas.getContext("2d", { willReadFrequently: true });
let models = [], token = "", shown = null, stream = null, latest = 0;

/** A vivid colour for a class: hues a golden ratio apart. */
function colour(label) {
  const hue = ((0.07 + label * 0.618033988749895) % 1) * 6;
  const channel = (n) => {
    const k = (n + hue) % 6;
    return Math.round(240 * (1 - 0.78 * Math.max(0, Math.min(k, 4 - k, 1))));
  };
  return [channel(5), channel(3), channel(1)];
}

function say(text, wrong = false) {
  part("status").textContent = text;
  part("status").classList.toggle("error", wrong);
}

async function ask(path, options = {}) {
  const headers = { ...(options.headers || {}), ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const answer = await fetch(path, { ...options, headers });
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({ error: answer.statusText }));
  if (answer.status === 401) {
    part("login").hidden = false;
    part("token").focus();
  }
  throw new Error(said.error);
}

async function listModels() {
  try {
    models = (await (await ask("/v1/models")).json()).models;
  } catch (error) {
    return say(error.message, true);
  }
  part("login").hidden = true;
  part("model").replaceChildren(...models.map((one) => new Option(`${one.name} (${one.task})`, one.name)));
  say(models.length ? "Choose a picture, or take the camera." : "No model is there.");
}

const chosen = () => models.find((one) => one.name === part("model").value);

/** Sends a file, and keeps what comes back beside the picture. */
async function detect(file) {
  const model = chosen();
  if (!model || !file) return;
  const number = (latest += 1);
  const began = performance.now();
  try {
    const bitmap = await createImageBitmap(file);
    const path = `/v1/models/${encodeURIComponent(model.name)}/detect`;
    const send = (query) => ask(`${path}?${query}`, { method: "POST", body: file, headers: { "Content-Type": file.type || "application/octet-stream" } });
    const segments = model.task === "segment";
    const answer = await send(segments ? "format=mask" : `format=full&score=${LOWEST}`);
    const result = segments ? { classes: await pixelsOf(await answer.blob()) } : await answer.json();
    if (number !== latest) return; // a later picture is there already
    shown = { file, bitmap, model, result, milliseconds: performance.now() - began, inside: answer.headers.get("X-Model-Milliseconds") };
    draw();
  } catch (error) {
    say(error.message, true);
  }
}

async function pixelsOf(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  const sheet = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  sheet.drawImage(bitmap, 0, 0);
  return sheet.getImageData(0, 0, bitmap.width, bitmap.height).data;
}

/** Draws what is kept with the slider's threshold: nothing is asked for anew. */
function draw() {
  const threshold = Number(part("threshold").value);
  part("shown").textContent = threshold.toFixed(2);
  if (!shown) return;
  const { bitmap, model, result } = shown;
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  context.drawImage(bitmap, 0, 0);
  const objects = (result.objects || []).filter((one) => one.score >= threshold);
  drawMasks(model, result, objects);
  objects.toReversed().forEach(drawBox);
  part("view").hidden = false;
  const rows = model.task === "classify" ? result.classes.slice(0, 5).filter((one) => one.score >= threshold) : objects;
  list(model.task === "segment" ? classesOf(model, result.classes) : rows);
  const found = model.task === "segment" ? "" : `${rows.length} found, `;
  say(`${found}${shown.milliseconds.toFixed(0)} ms, of which the model ${shown.inside} ms`);
}

function drawMasks(model, result, objects) {
  const masked = objects.some((one) => one.mask);
  if (!masked && model.task !== "segment" && !result.drivable) return;
  const picture = context.getImageData(0, 0, canvas.width, canvas.height);
  if (model.task === "segment") {
    layClasses(picture.data, result.classes, (label) => (label === background(model) ? null : colour(label)), OPACITY);
  }
  if (result.drivable) {
    layRuns(picture.data, result.drivable, [40, 200, 90], OPACITY);
    layRuns(picture.data, result.lanes, [230, 30, 30], 255);
  }
  objects.toReversed().forEach((one) => one.mask && layRuns(picture.data, one.mask, colour(one.label), OPACITY));
  context.putImageData(picture, 0, 0);
}

/** The class that is no class of things: the first, if it is called so. */
const background = (model) => (/^_*(background|bg|ground|unlabel+ed|void)_*$/i.test(model.names[0] || "background") ? 0 : -1);

function drawBox(one) {
  const [x1, y1, x2, y2] = one.box;
  const line = Math.max(2, canvas.width / 300), letters = Math.max(12, canvas.width / 45);
  context.strokeStyle = context.fillStyle = `rgb(${colour(one.label)})`;
  context.lineWidth = line;
  context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  const text = `${one.name} ${one.score.toFixed(2)}`;
  context.font = `${letters}px system-ui, sans-serif`;
  const top = Math.max(0, y1 - letters * 1.3);
  context.fillRect(x1, top, context.measureText(text).width + letters * 0.6, letters * 1.3);
  context.fillStyle = "black";
  context.fillText(text, x1 + letters * 0.3, top + letters);
}

function classesOf(model, classes) {
  const counts = new Map();
  for (let at = 0; at < classes.length; at += 4) counts.set(classes[at], (counts.get(classes[at]) || 0) + 1);
  const share = (count) => (4 * count) / classes.length;
  return [...counts].sort((a, b) => b[1] - a[1]).map(([label, count]) => ({ label, name: model.names[label] || `class ${label}`, score: share(count) }));
}

function list(rows) {
  part("found").tBodies[0].replaceChildren(...rows.map((one) => {
    const row = document.createElement("tr"), key = document.createElement("span");
    const cells = [one.name, one.score.toFixed(3), one.box ? one.box.map(Math.round).join(", ") : ""].map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    });
    key.className = "key";
    key.style.background = `rgb(${colour(one.label)})`;
    cells[0].prepend(key);
    row.append(...cells);
    return row;
  }));
  part("found").hidden = rows.length === 0;
}

/** The camera's pictures, one after the other: the next is taken when the last has been answered. */
async function watch() {
  const video = part("video");
  const sheet = document.createElement("canvas");
  while (stream) {
    const scale = Math.min(1, LONGEST / Math.max(video.videoWidth, video.videoHeight));
    sheet.width = Math.round(video.videoWidth * scale);
    sheet.height = Math.round(video.videoHeight * scale);
    sheet.getContext("2d").drawImage(video, 0, 0, sheet.width, sheet.height);
    await detect(await new Promise((done) => sheet.toBlob(done, "image/jpeg", 0.9)));
    await new Promise(requestAnimationFrame);
  }
}

async function switchCamera() {
  const video = part("video");
  if (stream) {
    stream.getTracks().forEach((track) => track.stop());
    stream = null;
  } else {
    try {
      if (!navigator.mediaDevices) throw new Error("browsers give the camera to https and to this machine alone");
      const opened = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      video.srcObject = opened;
      await video.play();
      stream = opened;
      watch();
    } catch (error) {
      say(`No camera: ${error.message}`, true);
    }
  }
  part("camera").setAttribute("aria-pressed", String(stream !== null));
}

part("file").addEventListener("change", (event) => { detect(event.target.files[0]); event.target.value = ""; });
part("drop").addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === " ") { event.preventDefault(); part("file").click(); }
});
part("threshold").addEventListener("input", draw);
part("camera").addEventListener("click", switchCamera);
part("model").addEventListener("change", () => shown && detect(shown.file));
part("login").addEventListener("submit", (event) => { event.preventDefault(); token = part("token").value; listModels(); });
document.addEventListener("paste", (event) => detect(event.clipboardData.files[0]));
document.addEventListener("dragover", (event) => { event.preventDefault(); part("drop").classList.add("over"); });
document.addEventListener("dragleave", () => part("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  part("drop").classList.remove("over");
  detect(event.dataTransfer.files[0]);
});
listModels();
