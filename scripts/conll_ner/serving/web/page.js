// The service's description, the text and its entities.
"use strict";
const EXAMPLES = {
  de: [
    "Ada Lindqvist verließ am Dienstag Varnholm, um die Norden-Bank in Oslo zu leiten.",
    "Die Stadtwerke Tölz bauen mit der Nordlicht GmbH ein Wasserkraftwerk an der Isar.",
  ],
  en: [
    "My name is Sylvain and I work at Hugging Face in Brooklyn.",
    "Ada Lindqvist left Varnholm on Tuesday to head the Norden Bank in Oslo.",
    "TENNIS - Swiss teenager beats Belgian champion in the final of the Harbour Open.",
  ],
  es: ["Ada Lindqvist dejó Varnholm el martes para dirigir el Banco Norte en Sevilla."],
  fr: ["Ada Lindqvist a quitté Varnholm mardi pour diriger la Banque du Nord à Lyon."],
  nl: ["Ada Lindqvist verliet Varnholm dinsdag om de Noorderbank in Utrecht te leiden."],
};
const COLORS = 8; // --color-0 to --color-7
const LEAST_CANDIDATE = 0.01;
const STORED = "ner-token"; // in the session's storage, which ends with the tab
const $ = (id) => document.getElementById(id);
let token = sessionStorage.getItem(STORED);
let info = null; // of the service: pipeline, labels, promises, limits
let result = null; // { points, mentions, candidates }: offsets count code points, not UTF-16 units
let latest = 0; // number of the last request for the text

function showStatus(text, isError) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", Boolean(isError));
}

function count(number, what) {
  return `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
}

function element(name, text) {
  const created = document.createElement(name);
  created.textContent = text; // not innerHTML: the text comes from the user
  return created;
}

// --- The service ---

// RETURNS: The JSON of a response. THROWS: An error with the service's reason, and `wait`, the
// seconds until the queue may have room.
async function request(path, body) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  // The address may end without a slash under a reverse proxy.
  const address = location.pathname.replace(/\/?$/, `/${path}`);
  const options = body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers };
  const response = await fetch(address, options);
  const content = await response.json().catch(() => ({})); // a proxy's error may be HTML
  if (response.ok) return content;
  if (response.status === 401) askForToken();
  const { detail } = content;
  const reason = Array.isArray(detail) ? detail.map((d) => d.msg).join("; ") : detail;
  const error = new Error(reason ?? `${response.status} ${response.statusText}`);
  if (response.status === 503) error.wait = Number(response.headers.get("Retry-After")) || 1;
  throw error;
}

function askForToken() {
  sessionStorage.removeItem(STORED);
  $("access").hidden = false;
  $("ask").hidden = true; // nothing works before; its text stays
  $("token").select();
  $("token").focus();
}

async function loadInfo() {
  try {
    info = await request("info");
    showStatus("");
    showInfo();
  } catch (error) {
    // Without a token, the field that asks for it says enough.
    showStatus(!$("access").hidden && !token ? "" : `The service's description: ${error.message}`, true);
  }
}

function nameLanguage(code) {
  try {
    return code === "xx" ? "any language" : new Intl.DisplayNames(["en"], { type: "language" }).of(code);
  } catch {
    return code;
  }
}

function describePromise(kind, promise) {
  const percent = (value) => `${Number((100 * value).toFixed(2))} %`;
  const write = (value) => Number(value.toPrecision(4));
  const byType = typeof promise.least === "object";
  const least = byType
    ? Object.entries(promise.least).map(([label, value]) => `${label} ${write(value)}`).join(", ")
    : write(promise.least);
  return `Promise: a ${kind} of ${percent(promise.level)}${byType ? " for each type" : ""}, kept by ` +
    `${percent(promise.confidence)} of samples of ${promise.documents.toLocaleString("en")} documents like ` +
    `${promise.gold} (${kind === "precision" ? "threshold" : "least score of a candidate"} ${least})`;
}

function showInfo() {
  const name = `${info.lang}_${info.name}`;
  document.title = `${name}: named entities`;
  $("pipeline").replaceChildren(element("strong", name), ` ${info.version} · ${nameLanguage(info.lang)}`);
  if (info.description) $("pipeline").append(` · ${info.description}`);
  $("labels").replaceChildren(...info.labels.map((label) => {
    const item = element("li", label);
    item.style.background = colorOf(label);
    return item;
  }));
  $("promises").replaceChildren(
    ...Object.entries(info.promises ?? {}).map((pair) => element("p", describePromise(...pair))));
  $("pipeline").hidden = false;
  $("labels").hidden = !info.labels.length;
  const examples = EXAMPLES[info.lang] ?? [];
  $("examples").replaceChildren($("examples").options[0],
    ...examples.map((example) => new Option(`${example.slice(0, 40)}…`, example)));
  $("example").hidden = !examples.length;
  if (!$("text").value && examples.length) $("text").value = examples[0];
}

// --- The result ---

// RETURNS: The colour of a type, the same for the list of types and in the text.
function colorOf(label) {
  const labels = info?.labels.includes(label)
    ? info.labels
    : [...new Set(result.mentions.map((mention) => mention.label))].sort();
  return `var(--color-${labels.indexOf(label) % COLORS})`;
}

// The least score of a candidate: from 1, in the middle of the slider, to LEAST_CANDIDATE, at its
// left end. null right of the middle, where it is the least score of a mention.
function candidateFloor() {
  const value = Number($("threshold").value);
  return value < 0 ? LEAST_CANDIDATE ** -value : null;
}

function overlaps(a, b) {
  return a.start < b.end && b.start < a.end;
}

function shownMentions() {
  const threshold = Number($("threshold").value);
  return result.mentions.filter((mention) => mention.score === null || mention.score >= threshold);
}

function shownCandidates() {
  const least = candidateFloor();
  if (least === null) return [];
  const same = (a, b) => a.start === b.start && a.end === b.end && a.label === b.label;
  return result.candidates.filter((candidate) =>
    candidate.score >= least && !result.mentions.some((mention) => same(mention, candidate)));
}

// The boxes of the text: mentions, and candidates apart from them. Candidates that overlap are in
// one box, and those that overlap a mention are in its box.
function makeBoxes() {
  const boxes = shownMentions().map((mention) => ({ ...mention, spans: [mention], isMention: true }));
  for (const candidate of shownCandidates()) {
    const box = boxes.find((other) => overlaps(other, candidate));
    if (!box) {
      boxes.push({ ...candidate, spans: [candidate], isMention: false });
    } else {
      box.spans.push(candidate);
      if (!box.isMention) box.end = Math.max(box.end, candidate.end);
    }
  }
  return boxes.sort((a, b) => a.start - b.start);
}

function drawBox(box) {
  const mark = element("mark", result.points.slice(box.start, box.end).join(""));
  if (box.isMention) {
    mark.style.background = colorOf(box.label);
  } else {
    mark.className = "candidate";
    mark.style.opacity = 0.45 + 0.55 * Math.max(...box.spans.map((span) => span.score));
  }
  for (const span of box.spans) mark.append(element("small", span.label), element("small", formatScore(span)));
  return mark;
}

function formatScore(mention) {
  return mention.score === null ? "" : mention.score.toFixed(3);
}

function draw() {
  const least = candidateFloor();
  $("least").value = least === null ? Number($("threshold").value).toFixed(2) : `${least.toFixed(2)}, with candidates`;
  if (!result) return;
  const parts = [];
  let at = 0;
  for (const box of makeBoxes()) {
    parts.push(result.points.slice(at, box.start).join(""), drawBox(box));
    at = box.end;
  }
  parts.push(result.points.slice(at).join(""));
  $("result").replaceChildren(...parts);
  const candidates = shownCandidates();
  const rows = [...shownMentions(), ...candidates].sort((a, b) => a.start - b.start);
  $("table").tBodies[0].replaceChildren(...rows.map((mention) => {
    const row = document.createElement("tr");
    row.append(element("td", mention.text), element("td", mention.label), element("td", formatScore(mention)));
    return row;
  }));
  $("table").hidden = rows.length === 0;
  $("found").hidden = false;
  const others = least === null ? "" : ` and ${count(candidates.length, "other candidate")}`;
  const shown = `Showing ${shownMentions().length} of ${result.mentions.length} entities${others}`;
  showStatus(result.mentions.length || candidates.length ? shown : "No entities found");
}

async function predict() {
  const text = $("text").value;
  const number = ++latest;
  showStatus("Working…");
  try {
    const body = await request("predict", { text, candidates: LEAST_CANDIDATE });
    if (number !== latest) return; // a later request has its own answer
    result = { points: [...text], ...body.documents[0] };
    draw();
  } catch (error) {
    if (number === latest) showStatus(`The request failed: ${error.message}`, true);
  }
}

// --- Events ---

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  predict();
});
$("access").addEventListener("submit", async (event) => {
  event.preventDefault();
  token = $("token").value;
  $("access").hidden = true;
  await loadInfo();
  if (!$("access").hidden) return; // it was wrong
  sessionStorage.setItem(STORED, token);
  $("ask").hidden = false;
  $("text").focus();
});
$("threshold").addEventListener("input", draw);
$("examples").addEventListener("change", () => {
  if (!$("examples").value) return;
  $("text").value = $("examples").value;
  predict();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault(); // of a button that has the focus
  predict();
});
$("copy").addEventListener("click", async () => {
  const json = JSON.stringify(shownMentions(), null, 2);
  try {
    await navigator.clipboard.writeText(json);
    showStatus("Copied");
  } catch { // the clipboard API needs HTTPS or localhost
    const area = element("textarea", json);
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    showStatus(copied ? "Copied" : "The browser blocked copying", !copied);
  }
});
if (/Mac|iP/.test(navigator.platform)) $("hint").textContent = "or ⌘ Enter";
loadInfo();
