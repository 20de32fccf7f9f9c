// panels.js - sums, hypervisors that are being emptied, and jobs
import { bar, clock, element, exact, fill, mark, plural, put, rate, size, span } from "/page/format.js";
import { ended } from "/page/charts.js";
import { ask, serverNow, site } from "/page/site.js";

const by = (id) => document.getElementById(id);

const ROWS_MAX = 200; // of jobs; the filter finds the others
const AGAIN_AFTER = 3000; // milliseconds, of lists that are asked for

let wanted = "";
const matches = (...names) => !wanted || names.some((name) => name && name.toLowerCase().includes(wanted));

// ---- sums

const WORDS = ["no worker", "unreachable", "held", "emptying", "closed", "open"];

function drawSums() {
  const sums = site.sums, words = new Map(), tones = new Map();
  for (const host of site.hosts.values()) {
    words.set(host.word, (words.get(host.word) ?? 0) + 1);
    tones.set(host.word, host.tone);
  }
  put(by("sum-hosts"), String(sums.hosts));
  by("sum-words").replaceChildren(
    ...WORDS.filter((word) => words.has(word)).map((word) => element("span", { class: "said", "data-tone": tones.get(word) }, `${words.get(word)} ${word}`)),
    element("span", { class: "said" }, plural(sums.guests, "guest")),
  );
  put(by("sum-running"), String(sums.running));
  put(by("sum-rate"), sums.rate ? rate(sums.rate) : "–");
  put(by("sum-queued"), String(sums.queued + sums.waiting));
  drawEnded();
}

function drawEnded() {
  const told = ended();
  put(by("sum-done"), told ? String(told.done) : "–");
  const said = [];
  if (told) said.push(element("span", { class: "said", "data-tone": told.failed ? "bad" : "plain" }, told.failed ? `${told.failed} failed` : "none failed"));
  if (site.sums.doubt) said.push(element("span", { class: "said", "data-tone": "odd" }, `${site.sums.doubt} in doubt`));
  if (told && told.seconds < 3540) said.push(element("span", { class: "said" }, `seen for ${span(told.seconds)}`));
  by("sum-failed").replaceChildren(...said);
}

// ---- hypervisors that are being emptied

const emptying = new Map();

function makeEvacuation(name, open) {
  const parts = { bar: bar("taken"), count: element("span", { class: "count" }), doing: element("span", { class: "doing" }), end: element("span", { class: "end" }), why: element("span", { class: "why" }) };
  parts.host = element("button", { type: "button", class: "name" }, name);
  parts.host.addEventListener("click", () => open(name));
  parts.bar.removeAttribute("aria-hidden");
  parts.bar.setAttribute("role", "progressbar");
  parts.bar.setAttribute("aria-label", `${name}: guests moved`);
  parts.row = element("li", {}, parts.host, parts.bar, parts.count, parts.doing, parts.end, parts.why);
  return parts;
}

function drawEvacuation(parts, one) {
  const all = one.moved + one.left;
  const percent = all ? Math.floor((one.moved * 100) / all) : 100;
  const doing = [];
  if (one.running) doing.push(`${one.running} moving`);
  if (one.queued) doing.push(`${one.queued} queued`);
  if (one.waiting) doing.push(`${one.waiting} waiting`);
  if (one.doubt) doing.push(`${one.doubt} in doubt`);
  put(parts.count, `${one.moved} of ${all} moved`);
  put(parts.doing, doing.join(" · ") || (one.left ? `${plural(one.left, "guest")} left` : "looking whether it is empty"));
  let end = "";
  if (one.cancelled_by) end = `cancelled by ${one.cancelled_by}`;
  else if (one.expected_at) end = `empty at about ${clock(one.expected_at, false)}, in ${span(one.expected_at - serverNow())}`;
  else if (one.left) end = "end not known yet";
  put(parts.end, end);
  put(parts.why, one.why ?? "");
  fill(parts.bar, percent);
  parts.bar.setAttribute("aria-valuenow", String(percent));
  parts.bar.setAttribute("aria-valuetext", `${one.moved} of ${all} moved`);
}

function drawEvacuations(open) {
  const list = by("evacuation-list"), names = new Set(site.evacuations.map((one) => one.host));
  for (const [name, parts] of emptying)
    if (!names.has(name)) {
      parts.row.remove();
      emptying.delete(name);
    }
  let n = 0;
  for (const one of site.evacuations) {
    if (!emptying.has(one.host)) {
      emptying.set(one.host, makeEvacuation(one.host, open));
      list.append(emptying.get(one.host).row);
    }
    const parts = emptying.get(one.host);
    parts.row.hidden = !matches(one.host);
    n += parts.row.hidden ? 0 : 1;
    drawEvacuation(parts, one);
  }
  by("evacuations").hidden = n === 0;
}

// ---- jobs

const rows = new Map(); // number -> parts
let states = ""; // "" = those under way, from the stream
let asked = null; // {jobs, more} or {error}

function makeRow(job, open) {
  const parts = {
    guest: element("button", { type: "button", class: "name" }),
    number: element("span", { class: "faint number" }),
    way: element("td", { class: "way" }),
    bar: bar("taken"),
    percent: element("span", { class: "percent" }),
    rate: element("td", { class: "num rate" }),
    left: element("td", { class: "num left" }),
    state: element("span", { class: "state" }),
    why: element("span", { class: "why" }),
  };
  parts.guest.addEventListener("click", () => open(job.job));
  parts.row = element(
    "tr",
    {},
    element("td", { class: "who" }, parts.guest, parts.number),
    parts.way,
    element("td", { class: "progress" }, parts.bar, parts.percent),
    parts.rate,
    parts.left,
    element("td", { class: "how" }, parts.state, parts.why),
  );
  return parts;
}

const TONES = { done: "good", failed: "bad", cancelled: "bad", doubt: "odd", running: "busy", cancelling: "busy", assigned: "busy" };

function where(job) {
  if (job.destination) return job.destination;
  if (!job.to_count) return "any";
  return job.to ? job.to.join(", ") : `any of ${job.to_count}`;
}

function percentOf(job) {
  if (job.percent !== undefined) return job.percent;
  if (job.state === "done") return 100;
  return null;
}

function drawRow(parts, job) {
  const percent = percentOf(job), moves = job.state === "running" || job.state === "cancelling";
  put(parts.guest, job.guest);
  put(parts.number, `job ${job.job}`);
  put(parts.way, `${job.source} → ${where(job)}`);
  mark(parts.row, "percent", percent === null ? "none" : "some");
  fill(parts.bar, percent ?? 0);
  put(parts.percent, percent === null ? "" : moves && job.total ? `${percent} % of ${size(job.total)}` : `${percent} %`);
  put(parts.rate, moves && job.rate ? rate(job.rate) : job.state === "done" && job.processed ? size(job.processed) : "");
  let left = "";
  if (moves && job.left_for) left = span(Math.max(1, job.left_for));
  else if (moves && job.rate && job.remaining && job.dirty_rate >= job.rate) left = "writes faster";
  else if (!moves && job.elapsed) left = `took ${exact(job.elapsed)}`;
  put(parts.left, left);
  put(parts.state, job.paused || job.held ? "paused" : job.phase && moves ? job.phase : job.state);
  parts.state.dataset.tone = TONES[job.state] ?? "plain";
  put(parts.why, [job.why, job.room_for && `makes room for ${job.room_for}`].filter(Boolean).join("; "));
}

function drawJobs(open) {
  const all = states === "" ? [...site.jobs.values()].sort((a, b) => a.job - b.job) : (asked?.jobs ?? []);
  const some = all.filter((job) => matches(job.guest, job.source, job.destination, String(job.job)));
  const some200 = some.slice(0, ROWS_MAX), kept = new Set(some200.map((job) => job.job)), body = by("job-rows");
  for (const [number, parts] of rows)
    if (!kept.has(number)) {
      parts.row.remove();
      rows.delete(number);
    }
  some200.forEach((job, i) => {
    if (!rows.has(job.job)) rows.set(job.job, makeRow(job, open));
    const parts = rows.get(job.job);
    if (body.children[i] !== parts.row) body.insertBefore(parts.row, body.children[i] ?? null);
    drawRow(parts, job);
  });
  drawJobsNone(some.length, all.length);
}

function drawJobsNone(n, all) {
  const none = by("jobs-none");
  let text = "";
  if (states && asked?.error) text = `Not known: ${asked.error}`;
  else if (states && !asked) text = "Asking the broker …";
  else if (n > ROWS_MAX) text = `${n - ROWS_MAX} more are not shown; the filter finds them.`;
  else if (n === 0 && all > 0) text = "No such job has this in a name.";
  else if (n === 0) text = { "": "No guest is under way.", queued: "No job is queued.", "waiting,doubt": "No job waits.", "failed,cancelled": "No job has failed.", done: "No job is done." }[states];
  else if (states && asked.more) text = "Older ones are not shown: rmigrate jobs --all has them.";
  put(none, text);
  none.hidden = !text || !site.known;
}

async function askJobs(open) {
  const mine = states;
  if (mine === "" || document.hidden) return;
  let said;
  try {
    const answer = await ask(`jobs?state=${mine}&limit=${ROWS_MAX}`);
    said = { jobs: answer.jobs, more: answer.next !== null };
  } catch (error) {
    said = { error: error.message };
  }
  if (mine !== states) return;
  asked = said;
  drawJobs(open);
}

// ---- all of it

let opens = {};

export function panelsInit(openHost, openJob) {
  opens = { host: openHost, job: openJob };
  by("tabs").addEventListener("click", (event) => {
    const tab = event.target.closest("button");
    if (!tab) return;
    for (const one of by("tabs").children) one.setAttribute("aria-pressed", String(one === tab));
    states = tab.dataset.states;
    asked = null;
    drawJobs(opens.job);
    askJobs(opens.job);
  });
  setInterval(() => askJobs(opens.job), AGAIN_AFTER);
}

export function panelsFilter(text) {
  wanted = text;
  drawEvacuations(opens.host);
  drawJobs(opens.job);
}

export function panelsDraw() {
  drawSums();
  drawEvacuations(opens.host);
  if (states === "") drawJobs(opens.job);
}
