"use strict";
// Everything that comes from a model or a registry is set as text, never as markup.

const element = (id) => document.getElementById(id);
const percent = (score) => `${(100 * score).toFixed(1)} %`;

function add(parent, tag, text, className) {
  const child = document.createElement(tag);
  if (text !== undefined) child.textContent = text;
  if (className) child.className = className;
  parent.append(child);
  return child;
}

function facts(list, pairs) {
  list.replaceChildren();
  for (const [name, value] of pairs) {
    if (value === undefined || value === null || value === "") continue;
    add(list, "dt", name);
    add(list, "dd", String(value));
  }
}

async function call(path, options = {}) {
  const headers = { ...options.headers };
  if (element("key").value) headers.Authorization = `Bearer ${element("key").value}`;
  const started = performance.now();
  const response = await fetch(path, { ...options, headers });
  const body = await response.json();
  if (response.status === 401) element("lock").hidden = false;
  if (!response.ok) throw new Error(body.detail || `the server answered ${response.status}`);
  return { body, response, milliseconds: performance.now() - started };
}

function complain(error) {
  const place = element("problem");
  place.textContent = error ? error.message : "";
  place.hidden = !error;
}

function showAnswer({ body, response, milliseconds }) {
  const [prediction] = body.predictions;
  element("label").textContent = prediction.label;
  const scores = element("scores");
  scores.replaceChildren();
  for (const [label, score] of Object.entries(prediction.scores).sort((one, other) => other[1] - one[1])) {
    const line = add(scores, "li", undefined, label === prediction.label ? "best" : "");
    add(line, "span", label, "name");
    const bar = add(line, "progress");
    bar.max = 1;
    bar.value = score;
    bar.setAttribute("aria-label", `score of ${label}`);
    add(line, "span", percent(score), "value");
  }
  facts(element("facts"), [
    ["read", `${prediction.tokens} tokens in ${prediction.windows} ${prediction.windows === 1 ? "window" : "windows"}`],
    ["left out", prediction.truncated ? "the end of the text was not read" : ""],
    ["answered by", prediction.stages.join(", then ")],
    ["model", `${body.model.name} ${body.model.version}`],
    ["took", `${milliseconds.toFixed(1)} ms from here and back`],
    ["request", response.headers.get("x-request-id")],
  ]);
  element("answer").hidden = false;
}

async function ask(event) {
  event.preventDefault();
  const button = event.submitter || document.querySelector("button[type=submit]");
  button.disabled = true;
  complain(null);
  try {
    const path = `/models/${encodeURIComponent(element("model").value)}/predict`;
    const body = JSON.stringify({ text: element("text").value });
    const headers = { "Content-Type": "application/json" };
    showAnswer(await call(element("model").value ? path : "/predict", { method: "POST", headers, body }));
  } catch (error) {
    element("answer").hidden = true;
    complain(error);
  } finally {
    button.disabled = false;
  }
}

function since(seconds) {
  return new Date(1000 * seconds).toLocaleString();
}

function showModel(model, place) {
  const show = add(place, "div", undefined, "show");
  const title = add(show, "h3", model.name);
  if (!model.ready) add(title, "span", "loading", "badge warn");
  else if (model.stale) add(title, "span", "registry away, last good version", "badge warn");
  else if (model.following) add(title, "span", "following", "badge");
  const live = model.live || {};
  const measured = live.metrics && (live.metrics.test || live.metrics);
  const accuracy = measured && measured.accuracy;
  facts(add(show, "dl"), [
    ["version", live.version],
    ["since", live.since && since(live.since)],
    ["from", model.reference],
    ["digest", live.digest],
    ["labels", live.labels && live.labels.join(", ")],
    ["accuracy", typeof accuracy === "number" ? percent(accuracy) : ""],
    ["before", model.previous && model.previous.version],
    ["being tried", model.candidate && `${model.candidate.version} (${model.candidate.stage})`],
    ["refused", model.refused && `${model.refused.version}: ${model.refused.reasons.join("; ")}`],
    ["trouble", model.error],
  ]);
}

function showModels(models) {
  const place = element("models");
  const select = element("model");
  place.replaceChildren();
  for (const model of models) {
    showModel(model, place);
    if (![...select.options].some((option) => option.value === model.name)) {
      add(select, "option", model.name).value = model.name;
    }
  }
  element("which").hidden = models.length < 2;
  const [first] = models;
  element("showing").textContent = first.live ? `${first.name}, version ${first.live.version}` : `${first.name} is loading…`;
}

async function refresh() {
  try {
    showModels((await call("/models")).body.models);
  } catch (error) {
    element("showing").textContent = error.message;
  }
}

element("ask").addEventListener("submit", ask);
element("key").addEventListener("change", refresh);
element("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) element("ask").requestSubmit();
});
for (const example of document.querySelectorAll("[data-text]")) {
  example.addEventListener("click", () => {
    element("text").value = example.dataset.text;
    element("ask").requestSubmit();
  });
}
// A link such as /#text=What%20a%20film asks at once.
const linked = new URLSearchParams(location.hash.slice(1)).get("text");
if (linked) {
  element("text").value = linked;
  element("ask").requestSubmit();
}
refresh();
setInterval(() => { if (!document.hidden) refresh(); }, 5000);
