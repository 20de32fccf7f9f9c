// format.js - numbers in words, and elements: text comes from others, so it only ever becomes text

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function size(bytes) {
  let n = bytes, unit = 0;
  while (n >= 1000 && unit < UNITS.length - 1) {
    n /= 1024;
    unit++;
  }
  return `${n < 10 && unit > 0 ? n.toFixed(1) : Math.round(n)} ${UNITS[unit]}`;
}

export const rate = (bytes) => `${size(bytes)}/s`;

// "45 s", "6 min", "1 h 12 min", "3 d 4 h"
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 120) return `${s} s`;
  const min = Math.round(s / 60);
  if (min < 120) return `${min} min`;
  const h = Math.floor(min / 60);
  if (h < 48) return min % 60 ? `${h} h ${min % 60} min` : `${h} h`;
  return h % 24 ? `${Math.floor(h / 24)} d ${h % 24} h` : `${Math.floor(h / 24)} d`;
}

// A span that was measured, not expected: "38 ms", "4.2 s"
export function exact(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  return seconds < 60 ? `${seconds.toFixed(1)} s` : span(seconds);
}

const two = (n) => String(n).padStart(2, "0");

// "22:41:05"; of another day with its date
export function clock(at, seconds = true) {
  const time = new Date(at * 1000);
  const hours = `${two(time.getHours())}:${two(time.getMinutes())}${seconds ? `:${two(time.getSeconds())}` : ""}`;
  if (time.toDateString() === new Date().toDateString()) return hours;
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${hours}`;
}

export const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

// element("p", {class: "x", title: "..."}, "text", other, ...)
export function element(name, attributes = {}, ...inside) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes))
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  made.append(...inside.filter((one) => one !== null && one !== undefined));
  return made;
}

export function svg(name, attributes = {}) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// Writes only what differs, so that nothing is laid out anew in vain.
export function put(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

export function mark(where, name, value) {
  if (where.dataset[name] !== value) where.dataset[name] = value;
}

// A bar of parts in percent: [class, percent].
export function bar(...classes) {
  return element("span", { class: "bar", "aria-hidden": "true" }, ...classes.map((one) => element("span", { class: one })));
}

export function fill(where, ...percents) {
  percents.forEach((percent, i) => {
    const width = `${Math.min(100, Math.max(0, percent)).toFixed(1)}%`;
    const part = where.children[i];
    if (part.style.width !== width) part.style.width = width;
  });
}
