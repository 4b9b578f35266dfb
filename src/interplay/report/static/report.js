"use strict";
// Shows what the page carries: tables that sort and filter, figures, the chosen target; no knowledge of attributions.
(() => {
const DARK = { "#1c2126": "#e8ebee", "#d9dde1": "#39424a", "#9aa2aa": "#6d767f", "#5d656d": "#a9b1b9" };
const NARROW = 560, BATCH = 300, SHORT = 32;
const root = document.documentElement;
let data, current = 0, whole, target, drawing = 0;
const sorting = {}, filters = {}, wide = {};

const $ = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];
function element(name, text, attributes) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  return made;
}
const MARK = "\x7f"; // before the place of a string that most targets hold
async function unpack(text, common) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const restored = (_, value) => (typeof value === "string" && value[0] === MARK ? common[value.slice(1)] : value);
  return JSON.parse(await new Response(stream).text(), common && common.length ? restored : undefined);
}

// ---- tables
function written(value, kind) {
  if (value === null || value === undefined) return kind === "text" ? "" : "–";
  if (kind === "text" || typeof value === "string") return value;
  if (Number.isInteger(value) && kind !== "signed") return value.toLocaleString("en");
  const text = Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-4) ? Number(value.toPrecision(4)).toExponential() : String(Number(value.toPrecision(4)));
  return kind === "signed" && value > 0 ? "+" + text : text;
}
function order(rows, column, down, kind) {
  const at = (row) => row[column];
  const missing = (v) => v === null || v === undefined || v === "";
  const compare = kind === "text" ? (a, b) => String(a).localeCompare(String(b), "en", { numeric: true }) : (a, b) => a - b;
  return [...rows].sort((p, q) => {
    const a = at(p), b = at(q);
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    return down ? compare(b, a) : compare(a, b);
  });
}
const looks = (column) => (column.kind === "text" ? "" : "number") + (column.minor ? " minor" : "");
function drawTable(place, table) {
  const name = place.dataset.table, title = place.dataset.name;
  place.querySelectorAll(".about, .tools, .scroll").forEach((old) => old.remove());
  place.classList.toggle("empty", !table || !table.rows.length);
  if (!table || !table.rows.length) return;
  const tools = element("div", null, { class: "tools" }), said = element("span", "", { role: "status" });
  const label = element("label", "Filter "), box = element("input", null, { type: "search", "aria-label": "Filter " + title });
  box.value = filters[name] || "";
  label.append(box);
  if (table.rows.length > 8) tools.append(label, said);
  const scroll = element("div", null, { class: "scroll", tabindex: "0", role: "region", "aria-label": title + ", table" });
  const grid = element("table"), head = element("thead"), top = element("tr"), body = element("tbody");
  // What a narrow page leaves out until it is asked for.
  const widen = element("button", wide[name] ? "Fewer columns" : "All columns", { type: "button", class: "widen" });
  scroll.classList.toggle("all", Boolean(wide[name]));
  widen.addEventListener("click", () => {
    wide[name] = scroll.classList.toggle("all");
    widen.textContent = wide[name] ? "Fewer columns" : "All columns";
  });
  grid.append(element("caption", title, { hidden: "" }), head, body);
  head.append(top);
  scroll.append(grid);
  if (table.columns.some((column) => column.minor)) tools.append(widen);
  if (table.words) place.append(element("p", table.words, { class: "reading about" }));
  place.append(tools, scroll);
  const heads = table.columns.map((column, i) => {
    const cell = element("th", null, { scope: "col", class: looks(column) });
    const button = element("button", column.title, { type: "button" });
    button.addEventListener("click", () => {
      const before = sorting[name];
      sorting[name] = { column: i, down: before && before.column === i ? !before.down : column.kind !== "text" };
      fill();
    });
    cell.append(button);
    top.append(cell);
    return cell;
  });
  // A name of which what all names share was left out.
  function full(value, i) {
    const around = value !== "" && table.columns[i].around;
    return around ? around[0] + value + around[1] : String(value);
  }
  function fill() {
    const words = box.value.trim().toLowerCase(), sort = sorting[name];
    filters[name] = box.value;
    let rows = words ? table.rows.filter((row) => row.some((v, i) => v !== null && full(v, i).toLowerCase().includes(words))) : table.rows;
    if (sort && table.columns[sort.column]) rows = order(rows, sort.column, sort.down, table.columns[sort.column].kind);
    heads.forEach((cell, i) => {
      const mine = sort && sort.column === i;
      cell.setAttribute("aria-sort", mine ? (sort.down ? "descending" : "ascending") : "none");
      cell.firstChild.textContent = table.columns[i].title + (mine ? (sort.down ? " ↓" : " ↑") : "");
    });
    said.textContent = rows.length === table.rows.length ? `${rows.length} rows` : `${rows.length} of ${table.rows.length} rows`;
    body.replaceChildren();
    more(rows, 0);
  }
  function more(rows, from) {
    const some = document.createDocumentFragment();
    for (const row of rows.slice(from, from + BATCH)) some.append(line(row));
    body.append(some);
    if (from + BATCH >= rows.length) return;
    const last = element("tr", null, { class: "more" }), cell = element("td", null, { colspan: String(table.columns.length) });
    const button = element("button", `Show more of ${rows.length} rows`, { type: "button" });
    button.addEventListener("click", () => { last.remove(); more(rows, from + BATCH); });
    cell.append(button);
    last.append(cell);
    body.append(last);
  }
  function line(row) {
    const made = element("tr");
    row.forEach((value, i) => {
      const kind = table.columns[i].kind, text = written(value, kind);
      const cell = element("td", null, { class: looks(table.columns[i]) });
      if (kind === "text") {
        const inside = element("div", null, text.length > SHORT ? {} : { class: "whole" });
        if (text.length > 60 || (text && table.columns[i].around)) inside.title = full(text, i);
        const name = element("bdi", text), chosen = i === 0 && place.dataset.choose;
        const button = chosen && element("button", null, { type: "button" });
        if (chosen) { button.append(name); button.addEventListener("click", () => choose(table.rows.indexOf(row), true)); }
        inside.append(button || name);
        cell.append(inside);
      } else cell.textContent = text;
      made.append(cell);
    });
    return made;
  }
  box.addEventListener("input", fill);
  fill();
}

// ---- figures
function themed(spec, width) {
  const dark = root.dataset.theme === "dark";
  const copy = JSON.parse(JSON.stringify(spec), (_, value) => (dark && DARK[value]) || value);
  const look = copy.layout, narrow = width < NARROW, size = narrow ? 6.4 : 7.4, title = look.xaxis.title;
  copy.data.forEach((one, i) => { if (one.textfont) one.textfont = spec.data[i].textfont; }); // stands on colours, not on the ground
  if (look.yaxis && look.yaxis.categoryarray) {
    const limit = narrow ? 14 : 30, names = look.yaxis.categoryarray;
    look.yaxis.tickmode = "array";
    look.yaxis.tickvals = names.map((_, i) => i);
    look.yaxis.ticktext = names.map((name) => cut(name, limit));
  }
  if (narrow) {
    look.font.size = 11;
    if (look.showlegend) look.height += 16 * copy.data.filter((one) => one.name).length;
  }
  if (look.yaxis.title.text) look.yaxis.title.text = wrap(look.yaxis.title.text, Math.floor((look.height - 120) / size));
  if (title.text) {
    const lines = title.text.split("<br>").length;
    title.text = wrap(title.text, Math.floor((width - (look.yaxis.categoryarray ? 150 : 60)) / size));
    look.height += 16 * (title.text.split("<br>").length - lines);
  }
  return copy;
}
function cut(label, limit) {
  const letters = label.match(/&(?:amp|lt|gt);|[\s\S]/gu) || [];
  return letters.length <= limit ? label : letters.slice(0, limit - 1).join("") + "…";
}
function wrap(text, limit) {
  return text.split("<br>").flatMap((line) => {
    let least = broken(line, limit);
    for (let n = limit - 1, lines; (lines = broken(line, n)).length === least.length && n > 0; n--) least = lines;
    return least;
  }).join("<br>");
}
function broken(line, limit) {
  const lines = [""];
  for (const word of line.split(" ")) {
    const last = lines[lines.length - 1];
    if (last && last.length + word.length >= limit) lines.push(word);
    else lines[lines.length - 1] = last ? last + " " + word : word;
  }
  return lines;
}
function drawFigure(place, spec, fixed) {
  let plot = place.querySelector(".plot");
  if (!plot) {
    plot = element("div", null, { class: "plot", role: "img" });
    place.append(plot);
  }
  plot.setAttribute("aria-label", place.dataset.name + "; the tables hold the same numbers");
  const made = themed(spec, place.clientWidth);
  if (fixed) made.layout.width = place.clientWidth;
  plot.style.height = `${made.layout.height}px`;
  return Plotly.react(plot, made.data, made.layout, {
    responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false,
  });
}
const specs = () => (target ? { ...whole.figures, ...target.figures } : {});
async function drawFigures(mine) {
  const given = specs(), places = all(".figure");
  for (const place of places) place.classList.toggle("empty", !given[place.dataset.figure]);
  for (const place of places) {
    const spec = given[place.dataset.figure];
    if (!spec) continue;
    await drawFigure(place, spec);
    await new Promise((resolve) => setTimeout(resolve));
    if (mine !== drawing) return;
  }
}

// ---- the chosen target
function list(place, pairs) {
  if (!place) return;
  place.replaceChildren(...pairs.map(([name, words]) => {
    const row = element("div");
    row.append(element("dt", name), element("dd", words));
    return row;
  }));
}
async function choose(t, go) {
  current = t;
  const mine = ++drawing, found = await unpack(data.each[t], whole.common);
  if (mine !== drawing) return;
  target = found;
  if ($("target") && ![...$("target").options].some((o) => Number(o.value) === t)) { $("find").value = ""; options(); }
  await present(mine, go);
}
async function present(mine, go) {
  if ($("target")) {
    $("target").value = String(current);
    $("target-verdict").textContent = target.verdict;
    list($("target-short"), target.short);
  }
  $("target-about").textContent = target.about;
  $("target-known").textContent = target.known;
  if ($("pairs-words")) {
    $("pairs-words").replaceChildren(...[...target.pairs, ...target.orders].map((words) => element("li", words, words.startsWith("  ") ? { class: "part" } : {})));
    if (!target.pairs.length) $("pairs-words").append(element("li", "No pairs were read."));
  }
  for (const place of all(".table")) if (!(place.dataset.table in whole.tables)) drawTable(place, target.tables[place.dataset.table]);
  if (go) { ($("effects") || $("compared")).scrollIntoView(); $("target").focus({ preventScroll: true }); }
  await drawFigures(mine);
  if (mine === drawing) root.dataset.ready = "yes";
}
function options() {
  const select = $("target"), words = $("find").value.trim().toLowerCase();
  const kept = data.targets.map((name, i) => [name, i]).filter(([name]) => name.toLowerCase().includes(words));
  select.replaceChildren(...kept.map(([name, i]) => element("option", `${name} (${data.verdicts[i]})`, { value: String(i) })));
  if (kept.some(([, i]) => i === current)) select.value = String(current);
  else {
    const said = kept.length ? `${kept.length} target${kept.length > 1 ? "s" : ""} found` : "no target";
    select.prepend(element("option", said, { value: "none", disabled: "" }));
    select.value = "none";
  }
  return kept;
}

// ---- downloads, theme, start
async function save(file) {
  const link = element("a", null, { download: file.name });
  const type = file.name.endsWith(".txt") ? "text/plain" : "text/csv";
  link.href = URL.createObjectURL(new Blob(["\ufeff" + await unpack(file.data)], { type: `${type};charset=utf-8` }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
function theme(name) {
  root.dataset.theme = name;
  $("theme").textContent = name === "dark" ? "Light mode" : "Dark mode";
}
async function read(text) {
  for (;;) {
    const mine = drawing, made = JSON.parse(text), t = Math.max(target ? made.targets.indexOf(data.targets[current]) : made.first || 0, 0);
    const all = await unpack(made.whole), one = await unpack(made.each[t], all.common);
    if (mine === drawing) return [made, t, all, one];
  }
}
async function show(found) {
  [data, current, whole, target] = found;
  for (const place of all(".table")) if (place.dataset.table in whole.tables) drawTable(place, whole.tables[place.dataset.table]);
  $("files").replaceChildren(...data.files.map((file) => {
    const item = element("li"), name = element(file.data ? "button" : "span", file.name, file.data ? { type: "button" } : {});
    if (file.data) name.addEventListener("click", () => save(file));
    item.append(name, " ", element("span", file.what));
    return item;
  }));
  for (const place of all("[data-save]")) place.onclick = () => save(data.files.find((file) => file.name === place.dataset.save));
  if ($("target")) {
    options();
    $("target").addEventListener("change", (event) => choose(Number(event.target.value)));
    $("find").addEventListener("input", () => { const kept = options(); if (kept.length === 1) choose(kept[0][1]); });
  }
  await present(++drawing);
}

// ---- a served page: ask its server what is new
let last = "";
function say(words) {
  if ($("live-words").textContent !== words) $("live-words").textContent = words;
}
async function ask(name) {
  const reply = await fetch(name, { cache: "no-store" });
  if (!reply.ok) throw new Error(`${name}: ${reply.status}`);
  return reply.text();
}
// What the reader does must outlast a change of the page: the field typed in, how far tables are scrolled.
function held() {
  const field = document.activeElement, table = field.closest("[data-table]")?.dataset.table;
  const n = table ? [...field.closest("[data-table]").querySelectorAll(field.localName)].indexOf(field) : 0;
  const marked = field.localName === "input" ? [field.selectionStart, field.selectionEnd] : null;
  const scrolled = all("[data-table] .scroll").map((box) => [box.closest("[data-table]").dataset.table, box.scrollTop, box.scrollLeft]);
  const inside = (name, what) => all("[data-table]").find((place) => place.dataset.table === name)?.querySelectorAll(what);
  return () => {
    for (const [name, top, left] of scrolled) inside(name, ".scroll")?.[0]?.scrollTo(left, top);
    const now = field.id ? $(field.id) : table && inside(table, field.localName)?.[n];
    if (!now || now === document.activeElement) return;
    now.focus({ preventScroll: true });
    if (marked) now.setSelectionRange(...marked);
  };
}
async function renew(text, words) {
  const page = new DOMParser().parseFromString(text, "text/html"), fresh = page.getElementById("main");
  if (!whole || !page.getElementById("effects")) { location.replace(location.pathname); return; } // no answer before, or now
  const found = await read(page.getElementById("data").textContent), restore = held(), find = fresh.querySelector("#find");
  fresh.querySelector("#live-rows").replaceWith($("live-rows"));
  for (const old of all(".figure")) {
    const place = fresh.querySelector(`[data-figure="${old.dataset.figure}"]`), plot = old.querySelector(".plot");
    if (place) place.className = old.className;
    if (place && plot) place.append(plot);
    else if (plot) Plotly.purge(plot);
  }
  if (find && $("find")) find.value = $("find").value;
  $("main").replaceWith(document.adoptNode(fresh));
  $("data").textContent = page.getElementById("data").textContent;
  document.title = page.title;
  say(words);
  const drawn = show(found);
  restore();
  await drawn;
}
async function follow() {
  try {
    const state = JSON.parse(await ask("state.json"));
    if (state.version !== data.live.version) await renew(await ask("."), state.words);
    else say(state.words);
    const place = $("live-rows"), now = JSON.stringify(state.table);
    if (now !== last) {
      const restore = held();
      place.dataset.table = "live"; place.dataset.name = "The last runs";
      drawTable(place, state.table);
      restore();
      last = now;
    }
  } catch (error) {
    say("the server does not answer; what is below stays as it was.");
  }
  setTimeout(follow, 2000);
}

theme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
const redraw = () => drawFigures(++drawing);
$("theme").addEventListener("click", () => { theme(root.dataset.theme === "dark" ? "light" : "dark"); redraw(); });
// Paper is light and narrow, and does not wait: every figure is drawn at once.
function paper(width, name) {
  ++drawing;
  theme(name);
  $("main").style.width = width;
  const given = specs();
  for (const place of all(".figure")) if (given[place.dataset.figure]) drawFigure(place, given[place.dataset.figure], true);
}
let before = "light";
addEventListener("beforeprint", () => { before = root.dataset.theme; paper("900px", "light"); });
addEventListener("afterprint", () => { paper("", before); redraw(); });
let width = innerWidth;
addEventListener("resize", () => { if ((innerWidth < NARROW) !== (width < NARROW)) redraw(); width = innerWidth; });
data = JSON.parse($("data").textContent);
(data.whole ? read($("data").textContent).then(show) : Promise.resolve()).then(() => { if (data.live) follow(); });
})();
