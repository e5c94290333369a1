// The chosen colours, before the first paint. A plain script, so that nothing flashes.
(() => {
  const choices = ["", "light", "dark", "contrast"];
  const names = { "": "system", light: "light", dark: "dark", contrast: "high contrast" };
  let theme = "";
  try { theme = localStorage.getItem("theme") || ""; } catch { /* storage is off: the system's choice */ }
  const apply = () => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  apply();
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (!button) return;
    const label = () => { button.title = `Colours: ${names[theme]}`; button.setAttribute("aria-label", button.title); };
    label();
    button.hidden = false;
    button.addEventListener("click", () => {
      theme = choices[(choices.indexOf(theme) + 1) % choices.length];
      try { localStorage.setItem("theme", theme); } catch { /* holds for this page only */ }
      apply();
      label();
    });
  });
  // Links of the reference's own pages, as they stand in mails and chats: #/builders/2/builds/7
  if (!location.hash.startsWith("#/")) return;
  const path = location.hash.slice(2);
  const { root, client } = document.currentScript.dataset;
  // What the pages here do not have: the client has it, else the page that says most of it.
  const elsewhere = { about: "about", console: "changes", grid: "builders", masters: "health", projects: "builders", settings: "", waterfall: "builders" };
  const first = path.split(/[/?]/)[0];
  const moved = Object.hasOwn(elsewhere, first);
  // It begins with "./" or "../": whatever follows, it is a path of this site.
  location.replace(moved && client ? client + "#/" + path : root + (moved ? elsewhere[first] : path));
})();
