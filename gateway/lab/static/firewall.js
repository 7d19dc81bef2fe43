// The firewall's page looks again every two seconds while it is seen, with the packet that was asked for.
"use strict";

const EVERY_MS = 2000;

async function look() {
  if (!document.hidden) {
    try {
      await renew("state", `/lab/firewall-state${location.search}`);
    } catch {
      document.title = "The lab does not answer";
    }
  }
  setTimeout(look, EVERY_MS);
}

setTimeout(look, EVERY_MS);
