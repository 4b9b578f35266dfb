"use strict";
// Says how the runs stand until there is an answer to show.
(() => {
const $ = (id) => document.getElementById(id);
const start = JSON.parse($("data").textContent);
let drawn = "";
function element(name, text, kind) {
  const made = document.createElement(name);
  made.className = kind === "text" ? "" : "number";
  made.textContent = text === null || text === undefined ? "" : String(text);
  return made;
}
function draw(state) {
  if ($("words").textContent !== state.words) $("words").textContent = state.words;
  const table = state.table, now = JSON.stringify(table);
  if (now === drawn) return;
  drawn = now;
  $("rows").hidden = !table || !table.rows.length;
  if ($("rows").hidden) return;
  const head = document.createElement("tr");
  head.append(...table.columns.map((column) => {
    const cell = element("th", column.title, column.kind);
    cell.scope = "col";
    return cell;
  }));
  document.querySelector("thead").replaceChildren(head);
  document.querySelector("tbody").replaceChildren(...table.rows.map((row) => {
    const line = document.createElement("tr");
    line.append(...row.map((value, i) => {
      const kind = table.columns[i].kind;
      if (kind !== "text") return element("td", value, kind);
      const cell = element("td", "", kind), inside = document.createElement("div"), name = document.createElement("bdi");
      name.textContent = value;
      if (String(value).length > 60) inside.title = value;
      inside.append(name);
      cell.append(inside);
      return cell;
    }));
    return line;
  }));
}
async function follow() {
  try {
    const reply = await fetch("state.json", { cache: "no-store" });
    if (!reply.ok) throw new Error(reply.status);
    const state = await reply.json();
    if (state.version !== start.version) { location.replace(location.pathname); return; }
    draw(state);
  } catch (error) {
    $("words").textContent = "the server does not answer; what is here stays as it was.";
  }
  setTimeout(follow, 2000);
}
document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
draw(start);
setTimeout(follow, 2000);
})();
