// The lab's start page: decisions as they happen, and rules that change while one looks. Decisions come as text and are
// set as text.
"use strict";

const decisions = document.getElementById("decisions");
const dot = document.getElementById("dot");
const state = document.getElementById("state");
const KEPT = 10;

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
