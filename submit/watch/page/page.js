// page.js - the page: what changes is drawn, said, and kept in step with the clock
import { chartsAdd, chartsLoad } from "/page/charts.js";
import { dialogInit, openHost, openJob } from "/page/dialog.js";
import { clock, mark, put, span } from "/page/format.js";
import { mapDraw, mapFilter, mapInit } from "/page/map.js";
import { panelsDraw, panelsFilter, panelsInit } from "/page/panels.js";
import { age, follow, listen, site } from "/page/site.js";

const by = (id) => document.getElementById(id);

const OLD = 5; // seconds; what is older is called so
const SAY_EVERY = 3000; // milliseconds between two texts for who listens
const SAY_MAX = 4; // changes of one text

// ---- how things stand with the broker

function troubleNow() {
  const seconds = age();
  const since = site.known && site.sums.at ? ` What is shown is from ${clock(site.sums.at)}, ${span(seconds)} ago.` : "";
  if (site.cut) return `rmigrate-watch does not answer; trying again.${since}`;
  if (!site.known) return "";
  if (site.sums.trouble) return `The broker does not answer: ${site.sums.trouble}.${since}`;
  return seconds > OLD * 4 ? `Nothing new has come for ${span(seconds)}.${since}` : "";
}

function drawLink() {
  const trouble = troubleNow(), box = by("trouble"), seconds = age();
  put(box, trouble);
  box.hidden = !trouble;
  document.body.classList.toggle("stale", Boolean(trouble));
  mark(by("link"), "tone", trouble ? "bad" : site.known ? "good" : "plain");
  let text = "asking the broker …";
  if (site.cut) text = "not connected";
  else if (site.known && site.sums.trouble) text = "broker away";
  else if (site.known) text = seconds > OLD ? `as of ${span(seconds)} ago` : `live, ${clock(site.sums.at)}`;
  put(by("link-text"), text);
  const title = trouble ? "(!) rmigrate" : site.sums.running ? `${site.sums.running} moving · rmigrate` : "rmigrate";
  if (document.title !== title) document.title = title;
}

function drawFoot() {
  const { broker, started_at: started, user, role, watch } = site.sums;
  put(by("foot"), broker ? `Broker ${broker}, up ${span(site.sums.now - started)}. Seen as ${user}, ${role}, by rmigrate-watch ${watch}.` : "");
}

// ---- what has changed, for who listens

const words = new Map(); // host -> word
let left = new Map(); // host that is being emptied -> guests left
let wasAway = null, failed = null;
let unsaid = [];

function note(change) {
  const away = troubleNow() !== "";
  if (wasAway !== null && away !== wasAway) unsaid.push(away ? "The broker does not answer." : "The broker answers again.");
  wasAway = away;
  if (!change) return;
  for (const host of site.hosts.values()) {
    if (words.has(host.host) && words.get(host.host) !== host.word) unsaid.push(`${host.host} is ${host.word}.`);
    words.set(host.host, host.word);
  }
  const now = new Map(site.evacuations.map((one) => [one.host, one.left]));
  for (const [name, n] of left) {
    if (now.has(name)) continue;
    const stays = site.hosts.get(name)?.guests ?? n;
    unsaid.push(stays ? `The evacuation of ${name} is over, ${stays} are left.` : `${name} is empty.`);
  }
  left = now;
  if (failed !== null && site.sums.failed > failed) unsaid.push(`${site.sums.failed - failed} failed.`);
  failed = site.sums.failed;
}

function say() {
  if (unsaid.length === 0) return;
  const more = unsaid.length > SAY_MAX ? ` And ${unsaid.length - SAY_MAX} other changes.` : "";
  by("say").textContent = unsaid.slice(0, SAY_MAX).join(" ") + more;
  unsaid = [];
}

// ---- all of it

let pending = null; // what has changed since it was drawn last

function draw() {
  const change = pending;
  pending = null;
  if (change.whole) chartsLoad();
  chartsAdd();
  mapDraw(change);
  panelsDraw();
  drawFoot();
  drawLink();
  if (change.whole) requestAnimationFrame(() => performance.measure("drawn", { start: change.at }));
}

listen((change) => {
  note(change);
  if (!change) {
    drawLink();
    return;
  }
  change.at = performance.now();
  if (pending) {
    pending.whole ||= change.whole;
    pending.hostsGone.push(...change.hostsGone);
    pending.jobsGone.push(...change.jobsGone);
    return;
  }
  pending = change;
  requestAnimationFrame(draw);
});

const filter = by("filter");
filter.addEventListener("input", () => {
  const text = filter.value.trim().toLowerCase();
  mapFilter(text);
  panelsFilter(text);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !by("dialog").open && event.target !== filter && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    filter.focus();
  }
  if (event.key === "Escape" && event.target === filter) {
    filter.value = "";
    filter.dispatchEvent(new Event("input"));
  }
});

mapInit(openHost);
panelsInit(openHost, openJob);
dialogInit();
setInterval(drawLink, 1000);
setInterval(say, SAY_EVERY);
follow();
