#!/usr/bin/python3
"""Empties a hypervisor and waits: evacuate.py HOST. Exit status 0: it is empty."""

import sys

import rmigrate

with rmigrate.Client.from_file() as site:
    batch = site.evacuate(sys.argv[1], reason="maintenance")
    for job in batch.follow():
        if job.is_over:
            print(job, flush=True)
    account = batch.wait(check=False)
    print(account)
    sys.exit(0 if account.ok else 1)
