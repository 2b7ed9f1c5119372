// The theme, and buttons that copy policies. It runs before the page is drawn, so that colours do not flash.
"use strict";

(() => {
  const KEY = "callgate-theme";
  const root = document.documentElement;
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");

  // Pages from files share no storage in some browsers, and may have none at all.
  const stored = () => {
    try {
      return window.localStorage.getItem(KEY);
    } catch {
      return null;
    }
  };
  const store = (theme) => {
    try {
      window.localStorage.setItem(KEY, theme);
    } catch {
      // The choice then holds for this page alone.
    }
  };
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);

  const chosen = stored();
  if (chosen === "dark" || chosen === "light") {
    root.dataset.theme = chosen;
  }

  const startTheme = () => {
    const button = document.getElementById("theme");
    const label = () => {
      button.textContent = isDark() ? "Light" : "Dark";
      button.setAttribute("aria-label", isDark() ? "Light colours" : "Dark colours");
    };
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      store(root.dataset.theme);
      label();
    });
    prefersDark.addEventListener("change", label);
    label();
    button.hidden = false;
  };

  const select = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  };

  const addCopy = (figure) => {
    const text = figure.querySelector("code");
    const label = figure.querySelector("figcaption");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    const say = (word) => {
      button.textContent = word;
      button.setAttribute("aria-label", `${word}: ${label.textContent}`);
    };
    say("Copy");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text.textContent);
        say("Copied");
      } catch {
        // Without the clipboard, the text is at least selected.
        select(text);
        say("Selected");
      }
      window.setTimeout(() => say("Copy"), 2000);
    });
    figure.append(button);
  };

  document.addEventListener("DOMContentLoaded", () => {
    startTheme();
    document.querySelectorAll("figure.policy").forEach(addCopy);
  });
})();
