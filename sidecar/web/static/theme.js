// Light or dark, before anything is drawn; kept in a cookie, so that the server draws it right as well.
"use strict";
(() => {
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = (theme) => {
    root.dataset.theme = theme;
    root.dataset.bsTheme = theme === "auto" ? (system.matches ? "dark" : "light") : theme;
    document.dispatchEvent(new CustomEvent("mih:theme"));
  };
  root.classList.add("js");
  system.addEventListener("change", () => apply(root.dataset.theme));
  window.mihTheme = (theme) => {
    document.cookie = `mih_theme=${theme}; path=/; max-age=31536000; samesite=lax`;
    apply(theme);
  };
  apply(root.dataset.theme || "auto");
})();
