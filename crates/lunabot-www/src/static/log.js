// The view of a log: all its lines behind one scroll bar, however many; only those in sight are in the page.

import { whileSeen } from "./stream.js";

const box = document.getElementById("log");
if (box) view(box);

function view(box) {
  const LINE = 20, PAGE = 500, KEEP = 24; // px; lines per fetch; fetched pages kept
  const TALLEST = 8_000_000; // px: browsers give up on taller elements; beyond it, scrolling is scaled
  const address = location.pathname;
  const folded = Number(box.dataset.header);
  let total = Number(box.dataset.total), complete = box.dataset.complete === "1";
  let fold = folded > 0, follow = false, marked = null, hits = [], hit = -1, query = "";
  const pages = new Map(); // page number → Promise of rows
  const $ = id => document.getElementById(id);

  for (const part of document.querySelectorAll(".nojs")) part.hidden = true;
  for (const part of document.querySelectorAll(".js")) part.hidden = false;
  box.classList.add("live");
  const pad = document.createElement("div"), rows = document.createElement("div");
  pad.className = "pad";
  rows.className = "view";
  pad.append(rows);
  box.replaceChildren(pad);

  // A header folded away leaves its first line.
  const hidden = () => (fold ? folded - 1 : 0);
  const shown = () => Math.max(0, total - hidden());
  const toLine = row => (fold && row > 0 ? row + hidden() : row);
  const toRow = line => (fold && line >= folded ? line - hidden() : fold && line > 0 ? 0 : line);
  const height = () => Math.min(shown() * LINE, TALLEST);
  const room = () => Math.ceil(box.clientHeight / LINE);
  const scale = () => Math.max(1, (shown() * LINE - box.clientHeight) / Math.max(1, height() - box.clientHeight));
  const topRow = () => (box.scrollTop * scale()) / LINE;
  const scrollTo = row => { box.scrollTop = (Math.max(0, row) * LINE) / scale(); };
  const atEnd = () => box.scrollTop + box.clientHeight >= height() - 2 * LINE;

  function page(n) {
    if (pages.has(n)) { const known = pages.get(n); pages.delete(n); pages.set(n, known); return known; }
    const loading = fetch(`${address}/lines?offset=${n * PAGE}&limit=${PAGE}`).then(async answer => {
      if (!answer.ok) throw new Error(answer.statusText);
      learn(answer);
      const holder = document.createElement("template");
      holder.innerHTML = await answer.text(); // made and escaped by the server
      return [...holder.content.children];
    });
    loading.then(list => { if (list.length < PAGE && !complete) pages.delete(n); }, () => pages.delete(n));
    pages.set(n, loading);
    if (pages.size > KEEP) pages.delete(pages.keys().next().value);
    return loading;
  }

  function learn(answer) {
    total = Number(answer.headers.get("x-total"));
    complete = answer.headers.get("x-complete") === "1";
  }

  let drawing = 0;
  async function draw() {
    const turn = ++drawing;
    pad.style.height = `${height()}px`;
    $("count").textContent = `${total.toLocaleString()} line${total === 1 ? "" : "s"}${complete ? "" : ", running"}`;
    const first = Math.max(0, Math.floor(topRow()) - 10), last = Math.min(shown(), first + room() + 20);
    const lines = [];
    for (let row = first; row < last; row++) lines.push(toLine(row));
    const needed = [...new Set(lines.map(line => Math.floor(line / PAGE)))];
    let got;
    try { got = new Map(await Promise.all(needed.map(async n => [n, await page(n)]))); } catch { return; }
    if (turn !== drawing) return;
    const offset = box.scrollTop - (topRow() - first) * LINE;
    rows.style.transform = `translateY(${Math.max(0, offset)}px)`;
    rows.replaceChildren(...lines.map(line => dress(got.get(Math.floor(line / PAGE))?.[line % PAGE], line)).filter(Boolean));
  }

  function dress(row, line) {
    if (!row) return null;
    const n = line + 1;
    row.classList.toggle("mark", marked !== null && n >= marked[0] && n <= marked[1]);
    row.classList.toggle("hit", hits.includes(n));
    return row;
  }

  function go(line) {
    if (fold && line > 1 && line <= folded) setFold(false);
    scrollTo(toRow(line - 1) - Math.floor(room() / 3));
    draw();
  }

  function setFold(on) {
    const at = toLine(Math.floor(topRow()));
    fold = on;
    $("fold")?.setAttribute("aria-pressed", String(on));
    pad.style.height = `${height()}px`;
    scrollTo(toRow(at));
    draw();
  }

  function setFollow(on) {
    follow = on;
    $("follow").setAttribute("aria-pressed", String(on));
    if (on) { pad.style.height = `${height()}px`; box.scrollTop = box.scrollHeight; }
    draw();
  }

  // #L10 and #L10-L20
  function readHash() {
    const found = /^#L(\d+)(?:-L?(\d+))?$/.exec(location.hash);
    if (!found) return false;
    const [a, b] = [Number(found[1]), Number(found[2] ?? found[1])];
    marked = [Math.min(a, b), Math.max(a, b)];
    setFollow(false);
    go(marked[0]);
    return true;
  }

  rows.addEventListener("click", event => {
    const link = event.target.closest(".l > a");
    if (!link) return;
    event.preventDefault();
    const n = Number(link.hash.slice(2));
    marked = event.shiftKey && marked ? [Math.min(marked[0], n), Math.max(marked[0], n)] : [n, n];
    history.replaceState(null, "", marked[0] === marked[1] ? `#L${n}` : `#L${marked[0]}-L${marked[1]}`);
    draw();
  });

  // Whoever scrolls up reads; whoever returns to the end follows again.
  let before = 0;
  box.addEventListener("scroll", () => {
    const up = box.scrollTop < before;
    before = box.scrollTop;
    if (follow && up && !atEnd()) setFollow(false);
    else if (!follow && !up && !complete && atEnd()) setFollow(true);
    else draw();
  }, { passive: true });
  box.addEventListener("wheel", event => { if (follow && event.deltaY < 0) setFollow(false); }, { passive: true });
  addEventListener("resize", draw);
  addEventListener("hashchange", readHash);
  $("fold")?.addEventListener("click", () => setFold(!fold));
  $("follow").addEventListener("click", () => setFollow(!follow));
  $("top").addEventListener("click", () => { setFollow(false); box.scrollTop = 0; });
  $("next").addEventListener("click", () => jump(1));
  $("prev").addEventListener("click", () => jump(-1));

  async function search(from) {
    const answer = await fetch(`${address}/search?q=${encodeURIComponent(query)}&from=${from}`);
    if (!answer.ok) return;
    const holder = document.createElement("template");
    holder.innerHTML = await answer.text();
    const found = [...holder.content.children].map(row => Number(row.id.slice(1)));
    hits = from === 0 ? found : hits.concat(found);
    search.next = answer.headers.get("x-next");
    $("found").textContent = hits.length ? "" : search.next ? "none so far" : "not found";
    $("next").disabled = $("prev").disabled = !hits.length && !search.next;
  }

  async function jump(by) {
    if (by > 0 && hit + 1 >= hits.length && search.next) await search(Number(search.next));
    if (!hits.length) return;
    hit = (hit + by + hits.length) % hits.length;
    $("found").textContent = `${hit + 1} of ${hits.length}${search.next ? "+" : ""}`;
    marked = [hits[hit], hits[hit]];
    setFollow(false);
    go(hits[hit]);
  }

  const form = document.querySelector(".logbar");
  form.addEventListener("submit", async event => {
    event.preventDefault();
    const text = $("logfind").value.trim();
    if (text && text === query) return void jump(1);
    query = text;
    [hits, hit] = [[], -1];
    $("results")?.remove();
    history.replaceState(null, "", query ? `?q=${encodeURIComponent(query)}` : address);
    if (query) { await search(0); await jump(1); } else draw();
  });

  addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.activeElement?.matches("input, textarea")) return;
    const keys = {
      f: () => setFollow(!follow), g: () => { setFollow(false); box.scrollTop = 0; },
      G: () => { box.scrollTop = box.scrollHeight; }, n: () => jump(1), N: () => jump(-1),
    };
    keys[event.key]?.();
  });

  function listen() {
    const root = document.body.dataset.root, id = box.dataset.id;
    const status = $("link");
    let timer = 0, polls = 0;
    const grown = async () => {
      timer = 0;
      const answer = await fetch(`${address}/lines?offset=0&limit=0`);
      if (!answer.ok) return;
      const had = total;
      learn(answer);
      if (complete) events.close();
      if (complete && status) status.textContent = "";
      for (let n = Math.floor(had / PAGE); n <= Math.floor(total / PAGE); n++) pages.delete(n);
      pad.style.height = `${height()}px`;
      if (follow && box.scrollTop < before - LINE) setFollow(false); // scrolled up since the last frame
      else if (follow) box.scrollTop = box.scrollHeight;
      draw();
    };
    const soon = () => { timer ||= setTimeout(grown, 300); };
    const events = whileSeen(`${root}live?on=logs/${id}/append&on=logs/${id}/finished`, {
      touch: soon,
      ready() { if (status) { status.className = "link on"; status.textContent = "live"; } soon(); },
      error() {
        if (status) { status.className = "link poll"; status.textContent = "no live events, looking every 5 s"; }
        polls ||= setInterval(() => { if (complete) clearInterval(polls); else soon(); }, 5000);
      },
    });
  }

  pad.style.height = `${height()}px`;
  if (!readHash()) {
    const asked = new URLSearchParams(location.search);
    query = "";
    if (asked.get("from")) go(Number(asked.get("from")));
    else if (asked.get("q")) form.requestSubmit();
    else { box.scrollTop = box.scrollHeight; setFollow(!complete); }
  }
  draw();
  if (!complete) listen();
}
