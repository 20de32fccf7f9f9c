// charts.js - the last hour, small
import { element, plural, rate, span, svg } from "/page/format.js";
import { ask, site } from "/page/site.js";

const HOUR = 3600, LEAST = 300; // seconds that a chart is wide
const GAP = 3; // samples that may be missing before a line is broken
const WIDE = 300, HIGH = 40;

const charts = [
  { id: "chart-running", value: (s) => s.running, word: (n) => `${n} moving` },
  { id: "chart-rate", value: (s) => s.rate, word: rate },
  { id: "chart-queued", value: (s) => s.queued + s.waiting, word: (n) => plural(n, "job") },
];

let samples = [], every = 10;

export async function chartsLoad() {
  const history = await ask("history").catch(() => null);
  if (!history) return;
  every = history.every;
  samples = history.samples;
  chartsDraw();
}

// What has ended in the time that is known: {done, failed, seconds}.
export function ended() {
  const first = samples.find((sample) => sample.at >= site.sums.at - HOUR);
  if (!first) return null;
  return { done: Math.max(0, site.sums.done - first.done), failed: Math.max(0, site.sums.failed - first.failed), seconds: site.sums.at - first.at };
}

export function chartsAdd() {
  const sums = site.sums, last = samples.at(-1);
  if (sums.trouble || !sums.at || (last && sums.at < last.at + every)) return;
  samples.push(sums);
  while (samples.length && samples[0].at < sums.at - HOUR) samples.shift();
  chartsDraw();
}

function draw({ id, value, word }) {
  const now = samples.at(-1).at, first = samples[0].at;
  const width = Math.min(HOUR, Math.max(LEAST, now - first));
  const most = Math.max(1, ...samples.map(value));
  const x = (at) => WIDE - ((now - at) * WIDE) / width;
  const y = (n) => HIGH - 1.5 - (n * (HIGH - 4)) / most;
  let line = "", area = "", before = null;
  for (const sample of samples) {
    const point = `${x(sample.at).toFixed(1)} ${y(value(sample)).toFixed(1)}`;
    if (before && sample.at - before.at <= GAP * every) {
      line += `L${point}`;
      area += `L${point}`;
    } else {
      if (before) area += `L${x(before.at).toFixed(1)} ${HIGH}Z`;
      line += `M${point}`;
      area += `M${x(sample.at).toFixed(1)} ${HIGH}L${point}`;
    }
    before = sample;
  }
  area += `L${x(before.at).toFixed(1)} ${HIGH}Z`;
  const text = samples.length < 2 ? "seen just now for the first time" : `at most ${word(Math.max(...samples.map(value)))} in ${span(now - first)}`;
  const picture = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  picture.append(svg("path", { class: "area", d: area }), svg("path", { class: "curve", d: line }));
  document.getElementById(id).replaceChildren(picture, element("p", { class: "small" }, text));
}

export function chartsDraw() {
  if (samples.length > 0) charts.forEach(draw);
}
