// The lab's start page: copy buttons, decisions as they happen, and rules that change while one looks.
// Everything shown comes as text and is set as text; the fragments are rendered and escaped by the server.
"use strict";

const decisions = document.getElementById("decisions");
const dot = document.getElementById("dot");
const state = document.getElementById("state");
const KEPT = 10;

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const command = button.closest(".call").querySelector("pre");
  try {
    await navigator.clipboard.writeText(command.textContent);
    button.textContent = "Copied";
    button.classList.add("done");
  } catch {
    command.closest("details").open = true;
    getSelection().selectAllChildren(command);
    button.textContent = "Selected";
  }
  setTimeout(() => {
    button.textContent = "Copy";
    button.classList.remove("done");
  }, 1600);
});

function element(name, classes, text) {
  const made = document.createElement(name);
  made.className = classes;
  made.textContent = text;
  return made;
}

function line(decision) {
  const item = element("li", "", "");
  const who = element("div", "line", "");
  who.append(element("span", "by", decision.who), element("span", `verdict ${decision.decision}`, decision.label));
  const what = element("div", "line", "");
  what.append(element("code", "asked", decision.call), element("time", "at", decision.time));
  item.append(who, what, element("div", "why", decision.why));
  return item;
}

function show(news, isNew) {
  if (news.length) document.getElementById("none").hidden = true;
  for (const decision of news) {
    const item = line(decision);
    if (isNew) item.classList.add("fresh");
    decisions.prepend(item);
  }
  while (decisions.children.length > KEPT) decisions.lastElementChild.remove();
}

async function renew(id, address) {
  const place = document.getElementById(id);
  const answer = await fetch(address);
  if (!answer.ok) return;
  const before = new Set([...place.querySelectorAll("[data-sentence]")].map((each) => each.dataset.sentence));
  const known = new Set([...place.querySelectorAll("details[id]")].map((each) => each.id));
  const open = new Set([...place.querySelectorAll("details[open][id]")].map((each) => each.id));
  place.innerHTML = await answer.text();
  for (const each of place.querySelectorAll("details")) if (known.has(each.id)) each.open = open.has(each.id);
  for (const each of place.querySelectorAll("[data-sentence]")) {
    if (before.has(each.dataset.sentence)) continue;
    each.classList.add("fresh");
    const folded = each.closest("details");
    if (folded) folded.open = true;
  }
}

const events = new EventSource("/lab/events");
let base = document.body.dataset.base;

events.addEventListener("past", (event) => {
  decisions.replaceChildren();
  show(JSON.parse(event.data), false);
});
events.addEventListener("decisions", (event) => show(JSON.parse(event.data), true));
events.addEventListener("base", (event) => {
  if (event.data === base) return;
  base = event.data;
  document.getElementById("base").textContent = base;
  renew("people", "/lab/people");
  renew("services", "/lab/services");
});
events.addEventListener("entries", () => renew("entries", "/lab/entries"));
events.addEventListener("bigip", () => renew("bigip", "/lab/bigip"));
events.addEventListener("open", () => {
  dot.classList.add("on");
  state.textContent = "live";
});
events.addEventListener("error", () => {
  dot.classList.remove("on");
  state.textContent = "the lab does not answer";
});
