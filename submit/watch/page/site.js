// site.js - what is known of the site: the stream of what changes, put together

export const site = {
  known: false, // something has come
  sums: {}, // of the last message: its "site"
  hosts: new Map(), // by name
  jobs: new Map(), // those under way, by number
  evacuations: [],
  heardAt: 0, // by performance.now()
  cut: false, // the stream is broken
};

const listeners = [];

// Each is called with what has changed: {whole, hosts: names, hostsGone, jobs: numbers, jobsGone: rows}; null: only the link has.
export function listen(listener) {
  listeners.push(listener);
}

function tell(change) {
  for (const listener of listeners) listener(change);
}

function take(message) {
  if (message.whole) {
    site.hosts.clear();
    site.jobs.clear();
  }
  const jobsGone = message.jobs_gone.map((key) => site.jobs.get(Number(key))).filter(Boolean);
  for (const row of message.hosts) site.hosts.set(row.host, row);
  for (const row of message.jobs) site.jobs.set(row.job, row);
  for (const name of message.hosts_gone) site.hosts.delete(name);
  for (const key of message.jobs_gone) site.jobs.delete(Number(key));
  site.evacuations = message.evacuations;
  site.sums = message.site;
  site.heardAt = performance.now();
  site.known = true;
  site.cut = false;
  tell({
    whole: message.whole,
    hosts: message.hosts.map((row) => row.host),
    hostsGone: message.hosts_gone,
    jobs: message.jobs.map((row) => row.job),
    jobsGone,
  });
}

const AGAIN_AFTER = 3000; // milliseconds

export function follow() {
  const stream = new EventSource("/events");
  stream.addEventListener("sight", (event) => take(JSON.parse(event.data)));
  stream.onerror = () => {
    site.cut = true;
    tell(null);
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, AGAIN_AFTER);
  };
}

// Seconds since what is shown was so; the browser's clock need not be right for it.
export function age() {
  if (!site.sums.at) return Infinity;
  return Math.max(0, site.sums.now - site.sums.at) + (performance.now() - site.heardAt) / 1000;
}

// The time that it is on the server.
export function serverNow() {
  return site.sums.now + (performance.now() - site.heardAt) / 1000;
}

// A question to the API. Throws an Error with its text.
export async function ask(path) {
  const answer = await fetch(`/api/v1/${path}`);
  const said = await answer.json().catch(() => ({ error: `${answer.status} ${answer.statusText}` }));
  if (!answer.ok) throw new Error(said.error);
  return said;
}
