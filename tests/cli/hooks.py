#!/usr/bin/env python3
"""A server for webhooks that notes what it is sent.

usage: hooks.py DIRECTORY

Listens on a port of its own, which it writes to DIRECTORY/port. What is posted goes to DIRECTORY/got, a line each: the
path, a tab, the headers Authorization and Content-Type, each followed by a tab, and the body. It answers 200 but for
what DIRECTORY/answers says: a line for each request, which is taken out: a status, "hang", or "cut", which is 200 and a
body that ends too early.
"""
import http.server
import os
import sys
import threading
import time

directory = sys.argv[1]
lock = threading.Lock()


def next_answer():
    path = os.path.join(directory, "answers")
    try:
        with open(path) as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return "200"
    if not lines:
        return "200"
    with open(path + ".new", "w") as file:
        file.writelines(line + "\n" for line in lines[1:])
    os.rename(path + ".new", path)
    return lines[0]


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with lock:
            answer = next_answer()
            name = "got" if answer in ("200", "cut") else "refused"
            with open(os.path.join(directory, name), "a") as file:
                head = [self.path, self.headers.get("Authorization", ""), self.headers.get("Content-Type", "")]
                file.write("\t".join(head + [body.rstrip("\n")]) + "\n")
        if answer == "hang":
            time.sleep(3600)
        self.send_response(200 if answer == "cut" else int(answer))
        if answer == "cut":
            self.send_header("Content-Length", "1000")
            self.close_connection = True
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Hook)
with open(os.path.join(directory, "port.new"), "w") as file:
    file.write(str(server.server_port))
os.rename(os.path.join(directory, "port.new"), os.path.join(directory, "port"))
server.serve_forever()
