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
  if (location.hash.startsWith("#/")) location.replace(location.hash.slice(2) || ".");
})();
