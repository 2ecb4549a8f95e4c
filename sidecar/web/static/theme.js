// Light or dark, before anything is drawn; kept in a cookie, so that the server draws it right as well.
"use strict";
(() => {
  const root = document.documentElement;
  const paper = window.matchMedia("print");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = (theme) => {
    root.dataset.theme = theme;
    const shown = theme === "auto" ? (system.matches ? "dark" : "light") : theme;
    root.dataset.bsTheme = paper.matches ? "light" : shown;
    document.dispatchEvent(new CustomEvent("mih:theme"));
  };
  root.classList.add("js");
  for (const one of [system, paper]) one.addEventListener("change", () => apply(root.dataset.theme));
  window.mihTheme = (theme) => {
    document.cookie = `mih_theme=${theme}; path=/; max-age=31536000; samesite=lax`;
    apply(theme);
  };
  apply(root.dataset.theme || "auto");
})();
