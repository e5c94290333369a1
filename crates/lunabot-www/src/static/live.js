// Keeps a page true: on a notice of /live it fetches its own address without the frame and changes what differs.

import { whileSeen } from "./stream.js";

const root = document.body.dataset.root;
const topics = document.body.dataset.live;
const status = document.getElementById("link");
const LEAST = 1500; // ms between two renewals
const POLL = 10000;

let wanted = false, busy = false, last = 0, timer = 0, polling = 0;

function ask() {
  wanted = true;
  if (document.hidden || busy || timer) return;
  timer = setTimeout(renew, Math.max(0, last + LEAST - Date.now()));
}

async function renew() {
  timer = 0;
  wanted = false;
  busy = true;
  last = Date.now();
  try {
    const answer = await fetch(location.pathname + location.search, { headers: { "X-Part": "1" } });
    if (answer.redirected) return void location.replace(answer.url);
    if (answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
      const main = document.getElementById("main");
      if (fresh && main) morph(main, fresh);
    }
  } catch { /* the next notice or poll tries again */ }
  busy = false;
  if (wanted) ask();
}

// Makes `old` like `fresh` with as few changes as possible: children are matched by id, else by place and tag.
function morph(old, fresh) {
  if (old.isEqualNode(fresh) || old.hasAttribute("data-keep")) return;
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === "open" && old.tagName === "DETAILS")) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  let at = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    const same = match(at, next, old);
    if (!same) { old.insertBefore(next, at); continue; }
    if (same !== at) old.insertBefore(same, at); else at = at.nextSibling;
    if (next.nodeType !== 1) { if (same.nodeValue !== next.nodeValue) same.nodeValue = next.nodeValue; }
    else if (!(same.contains(document.activeElement) && same.matches("form, input, textarea, select"))) morph(same, next);
  }
  while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
}

function match(at, next, parent) {
  if (next.nodeType === 1 && next.id) {
    const known = document.getElementById(next.id);
    return known && known.parentNode === parent && known.tagName === next.tagName ? known : null;
  }
  if (!at || at.nodeType !== next.nodeType) return null;
  return at.nodeType !== 1 || (at.tagName === next.tagName && !at.id) ? at : null;
}

function say(state, text) {
  if (!status || status.textContent === text) return;
  status.className = `link ${state}`;
  status.textContent = text;
}

function poll(on) {
  if (on && !polling) polling = setInterval(ask, POLL);
  if (!on && polling) { clearInterval(polling); polling = 0; }
}

function listen() {
  let missed = false;
  whileSeen(`${root}live?${topics}`, {
    ready() {
      say("on", "live");
      poll(false);
      if (missed) ask();
      missed = true; // whatever comes between this stream and the next
    },
    touch: ask,
    error() {
      say("poll", "no live events, looking every 10 s");
      poll(true);
    },
  });
}

// Distances in time go on while nothing happens.
function tick() {
  const now = Date.now() / 1000;
  for (const time of document.querySelectorAll("time[datetime]")) {
    const at = Date.parse(time.dateTime) / 1000;
    const text = ago(at, now);
    if (time.textContent !== text) time.textContent = text;
    if (!time.dataset.local) {
      time.dataset.local = "1";
      time.title = new Date(at * 1000).toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
    }
  }
}

function ago(at, now) {
  const s = Math.abs(now - at);
  if (s < 10) return "just now";
  const text = s < 60 ? `${Math.floor(s)} s` : s < 3600 ? `${Math.floor(s / 60)} min` : s < 86400 ? `${Math.floor(s / 3600)} h`
    : s < 172800 ? "1 day" : `${Math.floor(s / 86400)} days`;
  return at <= now ? `${text} ago` : `in ${text}`;
}

if (topics) listen();
const every = document.querySelector("[data-poll]");
if (every) setInterval(ask, Number(every.dataset.poll) * 1000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) { tick(); if (wanted) ask(); } });
tick();
setInterval(() => { if (!document.hidden) tick(); }, 10000);
