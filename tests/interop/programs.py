"""Programs under test, and how a script says what it found."""

import subprocess
import threading

SOON = 60  # seconds that any single step may take


class Difference(Exception):
    """Something is not as the specification says."""


def check(holds, what):
    if not holds:
        raise Difference(what)
    print(f"ok: {what}")


class Program:
    """A program that serves until it is ended, by its own process id."""

    def __init__(self, command, stream, ready):
        self.lines = []
        pipes = {stream: subprocess.PIPE}
        self.process = subprocess.Popen(command, text=True, **pipes)
        self.found, self.is_ready = None, threading.Event()
        reader = threading.Thread(target=self.read, args=(stream, ready), daemon=True)
        reader.start()

    def read(self, stream, ready):
        for line in getattr(self.process, stream):
            self.lines.append(line)
            if self.found is None:
                self.found = ready(line)
            if self.found is not None:
                self.is_ready.set()
        self.is_ready.set()

    def wait(self):
        self.is_ready.wait(SOON)
        if self.found is None:
            raise Difference(f"{self.process.args[0]} does not serve: {''.join(self.lines)}")
        return self.found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(SOON)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def run(folder, *command):
    """Runs a program to its end in a folder; what it printed."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=SOON, check=False
    )
    if done.returncode != 0:
        raise Difference(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout.strip()
