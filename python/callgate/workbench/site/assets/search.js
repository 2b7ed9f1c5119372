// The search of the first page. Names come from servers of others: they are set as text, never as markup.
"use strict";

(() => {
  const data = window.callgateCatalogue;
  const STEP = 50;
  const form = document.getElementById("search");
  const results = document.getElementById("results");
  const found = document.getElementById("found");
  const more = document.getElementById("more");
  const moreButton = document.getElementById("more-button");
  const clear = document.getElementById("clear");
  const fields = ["q", "category", "risk", "server"].map((id) => document.getElementById(id));
  const [query, category, risk, server] = fields;

  const tools = data.tools.map(([name, path, ofServer, ofCategory, ofRisk, summary, words, isPoisoned]) => ({
    name,
    path,
    server: ofServer,
    category: ofCategory,
    risk: ofRisk,
    summary,
    mark: isPoisoned ? "Poisoned definition" : "",
    words: `${name} ${data.servers[ofServer][0]} ${summary} ${words} ${isPoisoned ? "poisoned definition" : ""}`.toLowerCase(),
  }));
  let matches = [];
  let shown = 0;

  const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
  const riskName = (number) => (data.risks[number] === "unknown" ? "Risk not known" : `${capital(data.risks[number])} risk`);

  const element = (tag, className, text) => {
    const made = document.createElement(tag);
    if (className) {
      made.className = className;
    }
    if (text) {
      made.textContent = text;
    }
    return made;
  };

  const fill = (select, names) => {
    for (const [number, name] of names) {
      const option = element("option", "", name);
      option.value = String(number);
      select.append(option);
    }
  };

  const row = (tool) => {
    const item = element("li");
    const link = element("a", "to");
    link.href = tool.path;
    link.append(element("bdi", "name", tool.name));
    const says = element("span", "says");
    if (tool.mark) {
      says.append(element("strong", "alarm", tool.mark), " ");
    }
    says.append(`${tool.summary} `);
    const of = element("span", "of", "· ");
    of.append(element("bdi", "", data.servers[tool.server][0]));
    says.append(of);
    const tags = element("span", "tags");
    const riskTag = element("span", `risk risk-${data.risks[tool.risk]}`);
    const meter = element("span", "meter");
    meter.setAttribute("aria-hidden", "true");
    riskTag.append(meter, riskName(tool.risk));
    const categoryName = data.categories[tool.category];
    tags.append(element("span", "category", categoryName), riskTag, element("span", "rule", data.chips[categoryName]));
    item.append(link, says, tags);
    return item;
  };

  const showMore = () => {
    const list = results.querySelector("ul");
    const next = matches.slice(shown, shown + STEP).map(row);
    list.append(...next);
    shown += next.length;
    more.hidden = shown >= matches.length;
    return next;
  };

  const remember = () => {
    const state = new URLSearchParams();
    for (const field of fields) {
      if (field.value) {
        state.set(field.id, field.value);
      }
    }
    const text = state.toString();
    try {
      window.history.replaceState(null, "", text ? `#${text}` : window.location.pathname);
    } catch {
      // The address then does not follow the search.
    }
  };

  const update = () => {
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    const isOne = (field, value) => field.value === "" || field.value === String(value);
    const isFiltered = fields.some((field) => field.value !== "");
    matches = tools.filter(
      (tool) =>
        isOne(category, tool.category) &&
        isOne(risk, tool.risk) &&
        isOne(server, tool.server) &&
        words.every((word) => tool.words.includes(word)),
    );
    const number = matches.length.toLocaleString("en");
    found.textContent = `${number} ${matches.length === 1 ? "tool" : "tools"}${isFiltered ? " found" : ""}`;
    clear.hidden = !isFiltered;
    shown = 0;
    if (matches.length === 0) {
      results.replaceChildren(element("p", "none", "No tool fits. Try fewer words, or clear the filters."));
      more.hidden = true;
    } else {
      results.replaceChildren(element("ul", "tools"));
      showMore();
    }
    remember();
  };

  const recall = () => {
    const state = new URLSearchParams(window.location.hash.slice(1));
    for (const field of fields) {
      field.value = state.get(field.id) ?? "";
      // A value that is no choice any more leaves a list without any.
      if (field.value === "" && field.tagName === "SELECT") {
        field.selectedIndex = 0;
      }
    }
  };

  if (tools.length === 0) {
    return;
  }
  const counts = (key) => new Set(tools.map((tool) => tool[key]));
  const [categories, risks, servers] = [counts("category"), counts("risk"), counts("server")];
  fill(category, data.categories.map((name, number) => [number, name]).filter(([number]) => categories.has(number)));
  fill(
    risk,
    data.risks.map((_, number) => [number, riskName(number)]).filter(([number]) => risks.has(number)),
  );
  fill(server, data.servers.map(([name], number) => [number, name]).filter(([number]) => servers.has(number)));
  form.addEventListener("input", update);
  clear.addEventListener("click", () => {
    for (const field of fields) {
      field.value = "";
    }
    update();
    query.focus();
  });
  moreButton.addEventListener("click", () => {
    const [first] = showMore();
    first?.querySelector("a").focus();
  });
  window.addEventListener("hashchange", () => {
    // Other fragments are places of the page.
    if (window.location.hash === "" || window.location.hash.includes("=")) {
      recall();
      update();
    }
  });
  recall();
  form.hidden = false;
  update();
})();
