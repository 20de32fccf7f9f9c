#!/usr/bin/python3
"""rmigrate_evacuate - an Ansible module: a hypervisor is empty, open, or has its guests back"""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any, Dict, List, NoReturn, Optional, Tuple

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: rmigrate_evacuate
short_description: Empty hypervisors, open them, or bring their guests back
description:
  - Runs the command C(rmigrate) on the machine that the task goes to, and waits. That machine needs the command and a key of
    the role operator, or a user who may open the broker's socket.
  - A hypervisor that is closed and empty already, that is open already, or whose guests are all at home, is not changed.
options:
  host:
    description: A hypervisor, or a noderange of several.
    type: str
    required: true
  state:
    description:
      - V(emptied) closes it, moves all its guests elsewhere and looks again. It fails when a guest is left.
      - V(open) lets guests be sent there again.
      - V(restored) waits until a worker serves it, opens it and brings back the guests that evacuations took from it.
    type: str
    choices: [emptied, open, restored]
    default: emptied
  to:
    description: Where the guests go, a noderange of hypervisors; else the broker chooses. Only with state=emptied.
    type: str
  reason:
    description: For the history.
    type: str
  no_room:
    description: Guests of other hypervisors are not moved to make room.
    type: bool
    default: false
  timeout:
    description: Seconds to wait; the jobs go on after it, and the same task later waits for them again. 0 is no limit.
    type: float
    default: 0
  config:
    description: File with the settings of rmigrate.
    type: path
  command:
    description: The command.
    type: path
    default: rmigrate
notes:
  - In check mode the plan is made and nothing is changed; a guest without a place fails the task there too.
"""

EXAMPLES = r"""
- name: The hypervisor is empty
  rmigrate_evacuate:
    host: "{{ inventory_hostname }}"
    reason: kernel update
  delegate_to: mgmt
"""

RETURN = r"""
batch:
  description: Number of the batch; null where nothing was asked for.
  type: int
  returned: always
moved:
  description: Guests that were moved.
  type: int
  returned: always
left:
  description: Guests that were not moved or are left.
  type: int
  returned: always
account:
  description: What became of all, in one line.
  type: str
  returned: always
plan:
  description: In check mode, which guest would go where.
  type: list
  returned: check mode
"""

PARTLY = 1  # exit status of rmigrate: some guests failed
LOOK_EVERY = 1.0  # seconds, for a worker that is not there yet


class Site:
    """Runs the command, within the time that there is."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._until: Optional[float] = None
        if module.params["timeout"] > 0:
            self._until = time.monotonic() + module.params["timeout"]
        self.result: Dict[str, Any] = {"changed": False, "batch": None, "moved": 0, "left": 0, "account": ""}

    def fail(self, text: str) -> NoReturn:
        self._module.fail_json(msg=text, **self.result)
        raise AssertionError  # it does not return

    def left_seconds(self) -> Optional[float]:
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    def run(self, *words: str) -> Tuple[int, List[Dict[str, Any]], str]:
        """Exit status, a JSON object for each line, and what was said besides."""
        command = [self._module.params["command"]]
        if self._module.params["config"]:
            command += ["--config", self._module.params["config"]]
        try:
            done = subprocess.run(
                command + ["--json", *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=self.left_seconds(),
            )
        except subprocess.TimeoutExpired:
            batch = f"; batch {self.result['batch']} goes on" if self.result["batch"] else ""
            self.fail(f"rmigrate {words[0]}: not over within {self._module.params['timeout']:g} s{batch}")
        except OSError as error:
            self.fail(str(error))
        said = done.stderr.strip()
        if done.returncode not in (0, PARTLY):
            self.fail(said or f"rmigrate {words[0]} ended with {done.returncode}")
        try:
            return done.returncode, _objects(done.stdout), said
        except ValueError:
            self.fail(f"rmigrate {words[0]} --json: {done.stdout}{said}")

    def queue(self) -> List[Dict[str, Any]]:
        """How the hypervisors stand."""
        code, found, said = self.run("queue", "--", self._module.params["host"])
        if code or not found or not found[0]["queue"]:
            self.fail(said or "no such hypervisor")
        rows: List[Dict[str, Any]] = found[0]["queue"]
        return rows

    def options(self) -> List[str]:
        params = self._module.params
        words = [f"--{name}={params[name]}" for name in ("to", "reason") if params[name]]
        return words + (["--no-room"] if params["no_room"] else [])

    def plan(self, verb: str) -> None:
        code, found, said = self.run(verb, "--plan", *self.options(), "--", self._module.params["host"])
        plan = self.result["plan"] = found[0]["plan"] if found else []
        staying = [entry for entry in plan if not entry["ok"]]
        self.result.update(changed=True, left=len(staying))
        self.result["account"] = f"{len(plan) - len(staying)} would be moved" + "".join(
            f"; {entry['guest'] or entry['host']}: {entry['result']}" for entry in staying
        )
        if code:
            self.fail(self.result["account"] if staying else said)

    def move(self, verb: str) -> None:
        """Begins without waiting, so that the number of the batch is known, then waits for it."""
        code, begun, said = self.run(verb, "--detach", *self.options(), "--", self._module.params["host"])
        batches = [line["batch"] for line in begun if "jobs" in line]
        if not batches:
            refused = [f"{line['guest'] or line['host']}: {line['result']}" for line in begun if not line["ok"]]
            self.result.update(left=len(refused), account="; ".join(refused))
            if code:
                self.fail("; ".join(refused) or said)
            return
        self.result.update(batch=batches[0], changed=True)
        code, lines, said = self.run("wait", str(batches[0]))
        account = lines[-1] if lines and "moved" in lines[-1] else {"moved": 0, "left": 0, "result": said}
        self.result.update(moved=account["moved"], left=account["left"], account=account["result"])
        if code:
            self.fail(account["result"])


def _objects(text: str) -> List[Dict[str, Any]]:
    """One object over many lines, or one for each line."""
    found, at, decoder = [], 0, json.JSONDecoder()
    text = text.strip()
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        found.append(value)
        while at < len(text) and text[at].isspace():
            at += 1
    return found


def is_empty(row: Dict[str, Any]) -> bool:
    """And stays so: nothing is on its way there, and it can be asked."""
    return bool(
        row["state"] == "closed"
        and row["connected"]
        and row["reachable"]
        and not row["evacuating"]
        and not row["guests"] + row["incoming"] + row["doubt"]
    )


def empty(site: Site, check: bool) -> None:
    rows = site.queue()
    if all(is_empty(row) for row in rows):
        site.result["account"] = "is empty already"
    elif check:
        site.plan("evacuate")
    else:
        site.move("evacuate")


def open_up(site: Site, check: bool, host: str, reason: Optional[str]) -> None:
    if all(row["state"] == "open" for row in site.queue()):
        site.result["account"] = "is open already"
        return
    site.result.update(changed=True, account="is open")
    if not check:
        code, found, said = site.run("open", *([f"--reason={reason}"] if reason else []), "--", host)
        if code:
            site.fail("; ".join(line["result"] for line in found[0]["results"] if not line["ok"]) or said)


def restore(site: Site, check: bool) -> None:
    rows = site.queue()
    while not check and not all(row["connected"] and row["reachable"] for row in rows):
        if site.left_seconds() == 0.0:
            away = ", ".join(row["host"] for row in rows if not (row["connected"] and row["reachable"]))
            site.fail(f"no worker serves {away}")
        time.sleep(LOOK_EVERY)
        rows = site.queue()
    names = {row["host"] for row in rows}
    _, found, _ = site.run("guests")
    away_guests = [guest for guest in found[0]["guests"] if guest["home"] in names and guest["host"] != guest["home"]]
    if not away_guests and all(row["state"] == "open" for row in rows):
        site.result["account"] = "all guests are there already"
    elif check:
        site.plan("restore")
    else:
        site.move("restore")
        site.result["changed"] = True


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["emptied", "open", "restored"], "default": "emptied"},
            "to": {"type": "str"},
            "reason": {"type": "str"},
            "no_room": {"type": "bool", "default": False},
            "timeout": {"type": "float", "default": 0},
            "config": {"type": "path"},
            "command": {"type": "path", "default": "rmigrate"},
        },
        supports_check_mode=True,
    )
    site = Site(module)
    if module.params["to"] and module.params["state"] != "emptied":
        site.fail("to is only for state=emptied")
    if module.params["state"] == "emptied":
        empty(site, module.check_mode)
    elif module.params["state"] == "open":
        open_up(site, module.check_mode, module.params["host"], module.params["reason"])
    else:
        restore(site, module.check_mode)
    module.exit_json(**site.result)


if __name__ == "__main__":
    main()
