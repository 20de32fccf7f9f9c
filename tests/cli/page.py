#!/usr/bin/python3
"""page.py - what the web page of rmigrate-watch has to do, each function a test of page.bats"""
import json
import os
import subprocess
import sys

from browser import Browser, Failed

WATCH = os.environ["WATCH"]


def shell(command):
    """A command that knows the functions of common.bash."""
    known = 'bats_require_minimum_version() { :; }; . "$TREE/tests/cli/common.bash"; . "$TREE/tests/cli/watch.bash"'
    done = subprocess.run(["bash", "-ec", f"{known}; {command}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise Failed(f"{command}: {done.stdout} {done.stderr}")
    return done.stdout.strip()


def same(got, wanted, what):
    if got != wanted:
        raise Failed(f"{what}: {got!r}, not {wanted!r}")


def has(text, part):
    if part not in text:
        raise Failed(f"{part!r} is not in {text!r}")


def text_of(selector):
    return f"document.querySelector({json.dumps(selector)})?.textContent"


def says(page, selector, part):
    page.until(f"({text_of(selector)} ?? '').includes({json.dumps(part)})", f"{part!r} in {selector}")


def begin(page, width=1280, height=900):
    page.size(width, height)
    page.go(WATCH + "/")
    page.until("document.querySelectorAll('.tile').length >= 3")


def put_guest(name, host, *lines):
    shell(f"guest {name} {host}" + (f"; plan {name} {' '.join(repr(line) for line in lines)}" if lines else ""))
    shell(f"until_true 10 guest_is_on {name} {host}")


def submit(name, to, *more):
    shell(f"detach {name} --to {to} {' '.join(more)}")
    return int(shell(f"last_job {name}"))


def finish(name):
    """Ends the migration of a guest that crawls."""
    shell(f"ask modify --guests {name} --bandwidth 1GiB/s >/dev/null")


ROW = "[...document.querySelectorAll('#job-rows tr')].find((row) => row.textContent.includes({}))"


def row_of(name):
    return ROW.format(json.dumps(name))


# ---- the tests


def loads(page):
    begin(page)
    same(page.look("[...document.querySelectorAll('.tile .name')].map((one) => one.textContent)"), ["hyp01", "hyp02", "hyp03"], "tiles")
    says(page, ".tile .word", "open")
    same(page.look("document.getElementById('trouble').hidden"), True, "no trouble")
    from_where = page.look("performance.getEntriesByType('resource').map((one) => new URL(one.name).origin)")
    same(sorted(set(from_where)), [WATCH], "where all of it comes from")
    # What is written into the page is no program, and a style that is written there does nothing.
    policy = page.look("fetch('/').then((answer) => answer.headers.get('content-security-policy'))")
    has(policy, "default-src 'none'")
    same("unsafe" in policy, False, "the policy allows nothing unsafe")
    page.look("document.body.insertAdjacentHTML('beforeend', '<p id=styled style=\"color: red\">x</p>')")
    same(page.look("getComputedStyle(document.getElementById('styled')).color === 'rgb(255, 0, 0)'"), False, "an inline style")
    same(len(page.said), 1, f"complaints, of this style alone: {page.said}")
    page.said.clear()


def moves(page):
    put_guest("mover", "hyp01", "crawl 200")
    begin(page)
    number = submit("mover", "hyp02")
    page.until(f"{row_of('mover')}?.querySelector('.percent').textContent.includes('%')")
    page.until("document.querySelectorAll('#arc-dots circle').length === 1")
    same(page.look("document.querySelectorAll('#arc-lines path').length"), 1, "lines")
    has(page.look(f"{row_of('mover')}.textContent"), "hyp01 → hyp02")
    has(page.look("document.querySelector('[data-host=hyp01]').getAttribute('aria-label')"), "1 leaving")
    has(page.look("document.querySelector('[data-host=hyp02]').getAttribute('aria-label')"), "1 arriving")
    finish("mover")
    page.until(f"!{row_of('mover')}")
    page.until("document.querySelectorAll('#arc-dots circle, #arc-lines path').length === 0")
    page.click("[data-states=done]")
    page.until(f"{row_of(f'job {number}')}?.querySelector('.state').textContent === 'done'")


def story(page):
    put_guest("teller", "hyp01", "fail 10 fatal 7 the disk is full")
    number = submit("teller", "hyp02", "--reason", "'rack 7'")
    shell(f"until_true 10 state_is {number} failed")
    begin(page)
    page.click("[data-states='failed,cancelled']")
    page.until(row_of("teller"))
    page.click("#job-rows .name")
    says(page, "#dialog-body", "the disk is full")
    said = page.look("document.getElementById('dialog-body').innerText")
    for part in ("failed", "rack 7", f"job {number}", "hyp01", "hyp02", "submitted", "assign"):
        has(said, part)
    same(page.look("document.getElementById('dialog-title').textContent"), "teller", "heading")
    page.key("Escape")
    page.until("!document.getElementById('dialog').open")
    page.until("document.activeElement.textContent === 'teller'", "the focus is back")
    page.key("Enter")
    page.until("document.getElementById('dialog').open")
    says(page, "#dialog-body", "the disk is full")
    page.click("#dialog-close")
    page.until("!document.getElementById('dialog').open")


def keys(page):
    begin(page)
    page.until("document.querySelectorAll('.tile[tabindex=\"0\"]').length === 1", "one tile is in the order of the tabulator")
    page.look("document.querySelector('.tile[tabindex=\"0\"]').focus()")
    page.key("ArrowRight")
    same(page.look("document.activeElement.dataset.host"), "hyp02", "one to the right")
    page.key("ArrowLeft")
    same(page.look("document.activeElement.dataset.host"), "hyp01", "and back")
    page.key("Enter")
    says(page, "#dialog-body", "Slots")
    same(page.look("document.getElementById('dialog-title').textContent"), "hyp01", "heading")
    page.key("Escape")
    page.until("document.activeElement.dataset.host === 'hyp01'")
    page.key("/", code="Slash")
    same(page.look("document.activeElement.id"), "filter", "the focus")
    page.type("P03")
    same(page.look("[...document.querySelectorAll('.tile')].filter((one) => one.offsetWidth).map((one) => one.dataset.host)"), ["hyp03"], "tiles")
    page.type("nobody")
    says(page, "#hosts-none", "No hypervisor")
    page.key("Escape")
    same(page.look("[...document.querySelectorAll('.tile')].filter((one) => one.offsetWidth).length"), 3, "tiles")


def text(page):
    bad = "<img src=x onerror=document.title=1><b>bold</b>"
    put_guest("marked", "hyp02", "fail 10 fatal 7 <img src=x onerror=document.title=2>")
    number = submit("marked", "hyp03", "--reason", repr(bad))
    shell(f"until_true 10 state_is {number} failed; ask close hyp03 --reason {bad!r} >/dev/null")
    begin(page)
    says(page, "[data-host=hyp03] .why", bad)
    page.click("[data-states='failed,cancelled']")
    page.until(row_of("marked"))
    has(page.look(f"{row_of('marked')}.querySelector('.why').textContent"), "<img src=x")
    page.look(f"{row_of('marked')}.querySelector('.name').click()")
    says(page, "#dialog-body", bad)
    same(page.look("document.querySelectorAll('main img, main b, dialog img, dialog b').length"), 0, "elements that came of it")
    page.key("Escape")
    page.look("document.querySelector('[data-host=hyp03]').click()")
    says(page, "#dialog-body", bad)
    same(page.look("document.querySelectorAll('main img, main b, dialog img, dialog b').length"), 0, "elements that came of it")
    shell("ask open hyp03 >/dev/null")


def emptied(page):
    for name in ("e1", "e2"):
        put_guest(name, "hyp03", "crawl 200")
    begin(page)
    says(page, "[data-host=hyp03] .guests", "2 guests")
    shell("ask evacuate hyp03 --detach >/dev/null")
    page.until("document.querySelector('#evacuation-list [role=progressbar]')?.getAttribute('aria-valuetext')?.includes('moved')")
    has(page.look("document.getElementById('evacuation-list').innerText"), "end not known yet")
    says(page, "[data-host=hyp03] .word", "emptying")
    says(page, "#say", "hyp03 is emptying.")
    for name in ("e1", "e2"):
        shell(f"until_true 20 is_running {name}")
        finish(name)
    page.until("document.getElementById('evacuations').hidden")
    says(page, "#say", "hyp03 is empty.")
    says(page, "[data-host=hyp03] .guests", "0 guests")
    shell("ask open hyp03 >/dev/null")


def no_wider(page, what):
    wide = page.look("[document.documentElement.scrollWidth, innerWidth]")
    same(wide[0] <= wide[1], True, f"{what}: {wide[0]} pixels on {wide[1]}")


def phone(page):
    put_guest("a-guest-with-a-name-as-long-as-anybody-may-give-it", "hyp01", "crawl 200")
    page.size(320, 640, phone=True)
    page.go(WATCH + "/")
    page.until("document.querySelectorAll('.tile').length >= 3")
    submit("a-guest-with-a-name-as-long-as-anybody-may-give-it", "hyp02", "--reason", "'" + "x" * 100 + "'")
    page.until(row_of("a-guest"))
    no_wider(page, "the page")
    page.click("#job-rows .name")
    says(page, "#dialog-body", "xxxx")
    no_wider(page, "the story")
    same(page.look("document.querySelector('.sheet').scrollWidth <= document.querySelector('.sheet').clientWidth"), True, "the story within itself")
    finish("a-guest-with-a-name-as-long-as-anybody-may-give-it")


# The least contrast of texts with what is below them (WCAG 2: 4.5 can be read).
CONTRAST = """(() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
    const layer = (colour) => { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); };
    const light = () => {
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((n) => n / 255).map((n) => n <= 0.04045 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    let least = [99, ""];
    for (const one of document.querySelectorAll("body *")) {
        if (!one.checkVisibility() || ![...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
        if (one.closest("noscript, .unseen, .skip")) continue;
        const below = [];
        for (let at = one; at; at = at.parentElement) below.unshift(getComputedStyle(at).backgroundColor);
        canvas.clearRect(0, 0, 1, 1);
        below.forEach(layer);
        const ground = light();
        layer(getComputedStyle(one).color);
        const ink = light();
        const ratio = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
        if (ratio < least[0]) least = [ratio, one.outerHTML.slice(0, 200)];
    }
    return least;
})()"""


def looks(page):
    put_guest("still", "hyp01", "crawl 200")
    submit("still", "hyp02")
    shell("ask close hyp03 --reason 'to be seen' >/dev/null")
    grounds = []
    for scheme in ("light", "dark"):
        page.media(prefers_color_scheme=scheme, prefers_reduced_motion="no-preference")
        begin(page)
        page.until(row_of("still"))
        says(page, "[data-host=hyp03] .word", "closed")
        grounds.append(page.look("getComputedStyle(document.documentElement).backgroundColor"))
        ratio, where = page.until(CONTRAST)
        same(ratio >= 4.5, True, f"{scheme}: a contrast of {ratio:.2f} in {where}")
    same(len(set(grounds)), 2, f"grounds {grounds}")
    page.until("document.querySelector('.arc')")
    same(page.look("getComputedStyle(document.querySelector('.arc')).animationName"), "flow", "what moves")
    page.media(prefers_reduced_motion="reduce")
    same(page.look("getComputedStyle(document.querySelector('.arc')).animationName"), "none", "what moves")
    same(page.look("getComputedStyle(document.querySelector('#arc-dots circle')).transitionDuration"), "0s", "what glides")
    shell("ask open hyp03 >/dev/null")
    finish("still")


def away(page):
    begin(page)
    page.until("document.getElementById('trouble').hidden")
    shell("broker_down")
    says(page, "#trouble", "The broker does not answer")
    says(page, "#trouble", "What is shown is from")
    says(page, "#link-text", "broker away")
    says(page, "#say", "The broker does not answer.")
    same(page.look("document.querySelectorAll('.tile').length"), 3, "tiles that are still shown")
    shell("broker_up")
    page.until("document.getElementById('trouble').hidden")
    says(page, "#link-text", "live")
    shell("end_it watch")
    says(page, "#trouble", "rmigrate-watch does not answer")
    # At the same port: the page asks there.
    shell(f"sed -i 's|127.0.0.1:0|{WATCH.removeprefix('http://')}|' $SITE/watch.conf; launch watch $BIN/rmigrate-watch -c $SITE/watch.conf")
    page.until("document.getElementById('trouble').hidden")
    shell("until_true 10 host_is_seen hyp01")
    says(page, "[data-host=hyp01] .word", "open")
    # That somebody was away is no fault of the page.
    page.said = [line for line in page.said if "ERR_" not in line and "Failed to load resource" not in line]


def many(page):
    for worker, first, last in (("w2", 1, 250), ("w3", 251, 497)):
        shell(f"worker_conf {worker} $(seq -f many%03g {first} {last}) >$SITE/{worker}.conf; launch {worker} $BIN/fakeworker -c $SITE/{worker}.conf")
    page.size(1280, 900)
    page.go(WATCH + "/")
    page.until("document.querySelectorAll('.tile').length === 500")
    page.until("performance.getEntriesByName('drawn').length > 0")
    no_wider(page, "the page")
    print(f"500 hypervisors are drawn {page.look('performance.getEntriesByName(`drawn`)[0].duration'):.0f} ms after they were told")
    page.size(320, 640, phone=True)
    no_wider(page, "the page on a phone")


def main():
    page = Browser()
    try:
        globals()[sys.argv[1]](page)
        same(page.said, [], "complaints of the browser")
    finally:
        page.close()


try:
    main()
except Failed as failed:
    sys.exit(f"page.py: {sys.argv[1]}: {failed}")
