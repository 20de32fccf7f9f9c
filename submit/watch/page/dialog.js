// dialog.js - the story of one job, and one hypervisor with its jobs and guests
import { clock, element, exact, plural, put, rate, size } from "/page/format.js";
import { ask, site } from "/page/site.js";

const dialog = document.getElementById("dialog");
const title = document.getElementById("dialog-title");
const body = document.getElementById("dialog-body");

const AGAIN_AFTER = 2000; // milliseconds, while what is shown may change
const GUESTS_MAX = 300;
const FINAL = ["done", "failed", "cancelled"];

let turn = 0; // counts what was opened: answers to what is closed are dropped
let opener = null;

export function dialogInit() {
  document.getElementById("dialog-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // beside the sheet
  });
  dialog.addEventListener("close", () => {
    if (dialog.open) return; // opened again before this was told
    turn++;
    body.replaceChildren();
    if (opener?.isConnected) opener.focus();
  });
}

// make(): the elements, and whether to ask again.
async function show(heading, make) {
  const mine = ++turn;
  put(title, heading);
  body.replaceChildren(element("p", { class: "none" }, "Asking …"));
  if (!dialog.open) {
    opener = document.activeElement;
    dialog.showModal();
  }
  dialog.querySelector(".sheet").scrollTop = 0;
  for (;;) {
    let made, again = true;
    try {
      [made, again] = await make();
    } catch (error) {
      made = [element("p", { class: "none" }, `Not known: ${error.message}`)];
    }
    if (mine !== turn) return;
    replace(made);
    if (!again) return;
    await new Promise((done) => setTimeout(done, AGAIN_AFTER));
    if (mine !== turn) return;
  }
}

// The focus stays where it is when the same is shown anew.
function replace(made) {
  const key = body.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  body.replaceChildren(...made);
  if (key) [...body.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key)?.focus();
}

function facts(rows) {
  const list = element("dl", { class: "facts" });
  for (const [name, value] of rows)
    if (value !== null && value !== undefined && value !== "" && value !== false) list.append(element("dt", {}, name), element("dd", {}, value === true ? "yes" : String(value)));
  return list;
}

function jobLink(number, text = `job ${number}`) {
  const link = element("button", { type: "button", class: "link", "data-key": `job ${number}` }, text);
  link.addEventListener("click", () => openJob(number));
  return link;
}

// ---- a job

function jobFacts(job) {
  const to = job.destination ?? (job.to_all.length ? job.to_all.join(", ") : "any open hypervisor");
  return facts([
    ["Why", job.why],
    ["From", job.source],
    ["To", to],
    ["Submitted", `${clock(job.submitted_at)}${job.by ? ` by ${job.by}` : ""}`],
    ["Reason", job.reason],
    ["Batch", `${job.batch ?? ""}${job.evacuation ? ", an evacuation" : ""}`],
    ["Makes room for", job.room_for],
    ["Try", job.attempt > 1 ? `${job.attempt}` : null],
    ["Started", job.started_at && clock(job.started_at)],
    ["Finished", job.finished_at && clock(job.finished_at)],
    ["Took", job.elapsed && exact(job.elapsed)],
    ["Downtime", job.downtime ? exact(job.downtime) : job.downtime_expected && `${exact(job.downtime_expected)} expected`],
    ["Memory", job.total ? size(job.total) : null],
    ["Sent", job.processed ? `${size(job.processed)}${job.iterations ? `, ${plural(job.iterations, "iteration")}` : ""}` : null],
    ["Rate", !FINAL.includes(job.state) && job.rate ? `${rate(job.rate)}, the guest writes ${rate(job.dirty_rate ?? 0)}` : null],
    ["Slowed down", job.throttle ? `by up to ${job.throttle} % (auto-converge)` : null],
    ["Identity", job.uuid],
    ["Priority", job.priority],
  ]);
}

function eventList(events) {
  return element(
    "ol",
    { class: "story" },
    ...events.map((event) =>
      element(
        "li",
        { "data-state": event.state ?? "" },
        element("time", { datetime: new Date(event.at * 1000).toISOString() }, clock(event.at)),
        element("span", { class: "what" }, event.event, event.by ? element("span", { class: "faint" }, ` by ${event.by}`) : null),
        event.text ? element("span", { class: "text" }, event.text) : null,
      ),
    ),
  );
}

export function openJob(number) {
  const known = site.jobs.get(number);
  return show(known ? `${known.guest}` : `Job ${number}`, async () => {
    const job = await ask(`jobs/${number}`);
    put(title, job.guest);
    const state = element("p", { class: "lead" }, element("span", { class: "state", "data-state": job.state }, job.state), ` job ${job.job}${job.phase ? `, ${job.phase}` : ""}`);
    if (job.locked) state.append(element("span", { class: "bad" }, " locked: it is not certain where the guest runs"));
    const others = [job.again_of, job.again].filter(Boolean);
    return [
      [
        state,
        jobFacts(job),
        others.length ? element("p", {}, "Tried again: ", ...others.map((other) => jobLink(other))) : null,
        element("h3", {}, "What happened"),
        eventList(job.events),
      ].filter(Boolean),
      !FINAL.includes(job.state),
    ];
  });
}

// ---- a hypervisor

function jobLines(jobs) {
  return element(
    "ul",
    { class: "list" },
    ...jobs.map((job) => element("li", {}, jobLink(job.job, job.guest), ` ${job.source} → ${job.destination ?? "…"} `, element("span", { class: "faint" }, [job.state, job.percent != null && `${job.percent} %`, job.why].filter(Boolean).join(", ")))),
  );
}

function guestLines(guests) {
  return element(
    "ul",
    { class: "list columns" },
    ...guests.map((guest) => element("li", {}, guest.guest, " ", element("span", { class: "faint" }, [guest.state !== "running" && guest.state, size(guest.memory), guest.why].filter(Boolean).join(", ")))),
  );
}

export function openHost(name) {
  const path = encodeURIComponent(name);
  return show(name, async () => {
    const [{ hosts }, waiting, guests] = await Promise.all([ask(`hosts?host=${path}`), ask(`jobs?host=${path}&state=queued,waiting&limit=100`), ask(`guests?host=${path}&limit=${GUESTS_MAX}`)]);
    const host = hosts[0], row = site.hosts.get(name);
    const moving = [...site.jobs.values()].filter((job) => job.source === name || job.destination === name);
    const made = [
      element("p", { class: "lead" }, element("span", { class: "word", "data-tone": row?.tone ?? "plain" }, row?.word ?? host.state), host.why && host.why !== row?.why ? ` ${host.why}` : ""),
      facts([
        ["Next job waits", row?.why],
        ["Memory", `${size(host.memory)} for guests, ${size(host.memory_free)} free${host.reserve ? `, ${size(host.reserve)} kept free` : ""}`],
        ["Processors", `${host.vcpus}, of guests ${host.vcpus_used}`],
        ["Slots", `${host.slots}${row ? `, ${row.credit} free` : ""}`],
        ["Moved away", row && `${row.done}${row.failed ? `, ${row.failed} failed` : ""}`],
        ["Changed", host.changed_at && `${clock(host.changed_at)} by ${host.by}`],
        ["Reason", host.reason],
        ["Kind", host.kind + (host.cluster ? `, cluster ${host.cluster}` : "")],
        ["Reached as", host.peer],
        ["Seen", host.seen_at && clock(host.seen_at)],
      ]),
      element("h3", {}, `Under way (${moving.length})`),
      moving.length ? jobLines(moving) : element("p", { class: "none" }, "None."),
      element("h3", {}, `Queued and waiting (${waiting.jobs.length}${waiting.next ? "+" : ""})`),
      waiting.jobs.length ? jobLines(waiting.jobs) : element("p", { class: "none" }, "None."),
      element("h3", {}, `Guests (${guests.guests.length}${guests.next ? "+" : ""})`),
      guests.guests.length ? guestLines(guests.guests) : element("p", { class: "none" }, "None."),
    ];
    return [made, true];
  });
}
