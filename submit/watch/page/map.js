// map.js - hypervisors as tiles, and guests on their way between them
import { bar, element, fill, mark, plural, put, size, svg } from "/page/format.js";
import { site } from "/page/site.js";

const tiles = document.getElementById("tiles");
const lines = document.getElementById("arc-lines");
const dots = document.getElementById("arc-dots");
const none = document.getElementById("hosts-none");

const ARCS_MAX = 250; // pairs of hypervisors; more would hide what is below
const ARRIVED_FOR = 1500; // milliseconds that a tile shows that a guest has come

const shown = new Map(); // name -> {tile, ...parts, x, y}
let open = () => {};
let wanted = "";
let gap = 0; // pixels between rows of tiles
let current = null; // the tile that the tabulator reaches

export function mapInit(openHost) {
  open = openHost;
  tiles.addEventListener("click", (event) => {
    const tile = event.target.closest(".tile");
    if (tile) open(tile.dataset.host);
  });
  tiles.addEventListener("keydown", walk);
  tiles.addEventListener("focusin", (event) => reach(event.target.closest(".tile")));
  new ResizeObserver(measure).observe(tiles);
}

// ---- the keyboard: one tile is in the order of the tabulator, arrows go on from it

function reach(tile) {
  if (!tile || tile === current) return;
  if (current) current.tabIndex = -1;
  current = tile;
  tile.tabIndex = 0;
}

function walk(event) {
  const all = [...tiles.children].filter((tile) => !tile.hidden);
  const at = all.indexOf(event.target.closest(".tile"));
  if (at < 0) return;
  const top = all[at].offsetTop;
  const columns = Math.max(1, all.filter((tile) => tile.offsetTop === all[0].offsetTop).length);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + columns, ArrowUp: at - columns, Home: 0, End: all.length - 1 }[event.key];
  if (to === undefined || top === undefined) return;
  event.preventDefault();
  all[Math.min(all.length - 1, Math.max(0, to))].focus();
}

// ---- tiles

function make(name) {
  const parts = {
    name: element("span", { class: "name" }),
    word: element("span", { class: "word" }),
    bar: bar("taken", "coming", "room", "reserve"),
    memory: element("span", { class: "memory" }),
    guests: element("span", { class: "guests" }),
    moves: element("span", { class: "moves" }),
    why: element("span", { class: "why" }),
  };
  put(parts.name, name);
  parts.tile = element(
    "button",
    { type: "button", class: "tile", "data-host": name, tabindex: "-1" },
    element("span", { class: "line" }, parts.name, parts.word),
    parts.bar,
    element("span", { class: "line facts" }, parts.memory, parts.guests),
    parts.moves,
    parts.why,
  );
  return parts;
}

function moves(host) {
  const said = [];
  if (host.running) said.push(`↗ ${host.running} leaving`);
  if (host.incoming) said.push(`↘ ${host.incoming} arriving`);
  if (host.queued) said.push(`${host.queued} queued`);
  if (host.waiting) said.push(`${host.waiting} waiting`);
  if (host.doubt) said.push(`${host.doubt} in doubt`);
  return said.join(" · ");
}

// Memory of guests that are under way to each hypervisor, as far as their migrations say it.
function coming() {
  const sums = new Map();
  for (const job of site.jobs.values())
    if (job.destination && job.total) sums.set(job.destination, (sums.get(job.destination) ?? 0) + job.total);
  return sums;
}

function draw(parts, host, arriving) {
  const memory = host.memory || 1;
  const used = Math.max(0, host.memory - host.reserve - host.memory_free);
  const part = Math.min(arriving, used);
  const percent = (n) => (n * 100) / memory;
  const doing = moves(host);
  const memoryText = host.memory ? `${size(used)} of ${size(host.memory)}` : "memory unknown";
  put(parts.word, host.word);
  put(parts.memory, memoryText);
  put(parts.guests, plural(host.guests, "guest"));
  put(parts.moves, doing);
  put(parts.why, host.why ?? "");
  mark(parts.tile, "tone", host.tone);
  mark(parts.tile, "word", host.word);
  mark(parts.tile, "busy", host.running || host.incoming ? "yes" : "");
  fill(parts.bar, percent(used - part), percent(part), percent(host.memory_free), percent(host.reserve));
  const label = `${host.host}, ${host.word}, ${memoryText}, ${plural(host.guests, "guest")}${doing ? `, ${doing}` : ""}${host.why ? `, ${host.why}` : ""}`;
  if (parts.tile.getAttribute("aria-label") !== label) {
    parts.tile.setAttribute("aria-label", label);
    parts.tile.title = label;
  }
}

function density(n) {
  return n <= 12 ? "wide" : n <= 40 ? "middle" : n <= 120 ? "small" : "tiny";
}

const compare = new Intl.Collator(undefined, { numeric: true }).compare;

export function mapFilter(text) {
  wanted = text;
  let n = 0;
  for (const [name, parts] of shown) {
    parts.tile.hidden = !name.toLowerCase().includes(wanted);
    n += parts.tile.hidden ? 0 : 1;
  }
  mark(tiles, "density", density(n));
  none.hidden = n > 0 || !site.known;
  put(none, wanted ? `No hypervisor has “${wanted}” in its name.` : "No hypervisor is known: no worker has connected yet.");
  if (!current || current.hidden || !current.isConnected) reach([...tiles.children].find((tile) => !tile.hidden));
  measure();
}

export function mapDraw(change) {
  let others = change.whole;
  if (change.whole)
    for (const name of shown.keys()) if (!site.hosts.has(name)) change.hostsGone.push(name);
  for (const name of change.hostsGone) {
    shown.get(name)?.tile.remove();
    shown.delete(name);
    others = true;
  }
  const arriving = coming();
  for (const host of site.hosts.values()) {
    if (!shown.has(host.host)) {
      shown.set(host.host, make(host.host));
      others = true;
    }
    draw(shown.get(host.host), host, arriving.get(host.host) ?? 0);
  }
  if (others) {
    tiles.append(...[...shown.keys()].sort(compare).map((name) => shown.get(name).tile));
    mapFilter(wanted);
  }
  for (const job of change.jobsGone) if (job.state === "running") arrived(job.destination);
  drawArcs();
}

function arrived(name) {
  const tile = shown.get(name)?.tile;
  if (!tile) return;
  tile.classList.add("arrived");
  setTimeout(() => tile.classList.remove("arrived"), ARRIVED_FOR);
}

// ---- guests on their way

// Where tiles are: asked of the layout once, when that may have changed.
function measure() {
  gap = parseFloat(getComputedStyle(tiles).rowGap) || 0;
  const frame = tiles.getBoundingClientRect();
  for (const parts of shown.values()) {
    const box = parts.tile.hidden ? null : parts.tile.getBoundingClientRect();
    parts.x = box ? box.left - frame.left + box.width / 2 : null;
    parts.y = box ? box.top - frame.top + box.height / 2 : null;
    parts.w = box?.width;
    parts.h = box?.height;
  }
  drawArcs();
}

// Lines run in the gaps between rows: from the upper rim to the upper rim in one row, else from the lower to the upper one of
// the row below, and leave a tile on the side where they go, so that few lie on one another.
function curve(from, to) {
  const toSide = (one, other) => one.x + Math.max(-0.38, Math.min(0.38, (other.x - one.x) / (6 * one.w))) * one.w;
  const ax = toSide(from, to), bx = toSide(to, from), rows = Math.abs(to.y - from.y) > from.h / 2;
  if (!rows) {
    const lift = Math.min(1.2 * gap, 14 + Math.abs(bx - ax) * 0.03);
    const ay = from.y - from.h / 2, by = to.y - to.h / 2;
    return [[ax, ay], [ax + (bx - ax) * 0.12, ay - lift], [bx - (bx - ax) * 0.12, by - lift], [bx, by]];
  }
  const down = to.y > from.y ? 1 : -1;
  const ay = from.y + (down * from.h) / 2, by = to.y - (down * to.h) / 2, reach = Math.max(gap, Math.abs(by - ay) * 0.45) * down;
  return [[ax, ay], [ax, ay + reach], [bx, by - reach], [bx, by]];
}

const pathOf = ([a, b, c, d]) => `M${a.map(Math.round)}C${b.map(Math.round)} ${c.map(Math.round)} ${d.map(Math.round)}`;

function pointOf([a, b, c, d], t) {
  const u = 1 - t;
  return [0, 1].map((i) => u * u * u * a[i] + 3 * u * u * t * b[i] + 3 * u * t * t * c[i] + t * t * t * d[i]);
}

function under(map, key, make, parent) {
  let one = map.get(key);
  if (!one) {
    one = make();
    map.set(key, one);
    parent.append(one);
  }
  return one;
}

function sweep(map, kept) {
  for (const [key, one] of map)
    if (!kept.has(key)) {
      one.remove();
      map.delete(key);
    }
}

const lineOf = new Map(), dotOf = new Map();

function drawArcs() {
  const pairs = new Map(), keptLines = new Set(), keptDots = new Set();
  for (const job of site.jobs.values()) {
    const from = shown.get(job.source), to = shown.get(job.destination);
    if (!from || !to || from.x == null || to.x == null || from === to) continue;
    const key = `${job.source}\n${job.destination}`;
    if (!pairs.has(key) && pairs.size >= ARCS_MAX) continue;
    if (!pairs.has(key)) pairs.set(key, { shape: curve(from, to), jobs: [] });
    pairs.get(key).jobs.push(job);
  }
  for (const [key, { shape, jobs }] of pairs) {
    const line = under(lineOf, key, () => svg("path", { class: "arc", "marker-end": "url(#tip)" }), lines);
    const path = pathOf(shape);
    if (line.getAttribute("d") !== path) line.setAttribute("d", path);
    mark(line, "doubt", jobs.some((job) => job.state === "doubt") ? "yes" : "");
    keptLines.add(key);
    for (const job of jobs) {
      const dot = under(dotOf, job.job, () => svg("circle", { class: "guest", r: 4.5 }), dots);
      const [x, y] = pointOf(shape, (job.percent ?? 0) / 100);
      const place = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`;
      if (dot.style.transform !== place) dot.style.transform = place;
      mark(dot, "state", job.state);
      keptDots.add(job.job);
    }
  }
  sweep(lineOf, keptLines);
  sweep(dotOf, keptDots);
}
