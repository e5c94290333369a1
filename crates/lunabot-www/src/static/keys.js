// Keys for the whole site: / search, j and k rows, ? help. The log page has its own (log.js).

const typing = () => document.activeElement?.matches("input, textarea, select, [contenteditable]");

addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing()) { if (event.key === "Escape") document.activeElement.blur(); return; }
  if (event.key === "/") focus(document.getElementById("logfind") || document.getElementById("find"), event);
  if (event.key === "?") document.getElementById("help")?.showModal();
  if (event.key === "j") step(1, event);
  if (event.key === "k") step(-1, event);
});

function focus(field, event) {
  if (!field) return;
  event.preventDefault();
  field.focus();
  field.select();
}

function step(by, event) {
  const rows = [...document.querySelectorAll("main a.row, main .step .logs a")].filter(row => row.offsetParent);
  if (!rows.length) return;
  event.preventDefault();
  const at = rows.indexOf(document.activeElement);
  rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by))].focus();
}

// An open menu closes at a click elsewhere and at Escape.
const close = except => { for (const menu of document.querySelectorAll("details.menu[open]")) if (menu !== except) menu.open = false; };
addEventListener("click", event => close(event.target.closest("details.menu")));
addEventListener("keydown", event => { if (event.key === "Escape") close(null); });
