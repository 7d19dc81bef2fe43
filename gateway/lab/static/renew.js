// A part of a page, taken anew from the server, which rendered and escaped it: what was unfolded stays unfolded, and
// sentences that were not there before are marked.
"use strict";

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
