# SPDX-License-Identifier: Apache-2.0
"""Start programs on one CPU, count their CPU time, and end every one, whatever happens."""
import ctypes
import os
import re
import resource
import signal
import socket
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Failed(Exception):
    """What the user is told in one line."""


def cpus():
    """The subject's CPU, and the one of the load generator and the origin: the same where there is only one."""
    have = sorted(os.sched_getaffinity(0))
    return have[0], have[min(1, len(have) - 1)]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Processes:
    """All that runs; leaving the context ends it. Each has a session of its own, so Ctrl-C reaches only us."""

    def __init__(self):
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        old = [signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGTERM)]
        for process in list(self.running):
            self.stop(process)
        signal.signal(signal.SIGINT, old[0])
        signal.signal(signal.SIGTERM, old[1])

    def start(self, argv, cpu, log, stdout=None):
        def prepare():
            os.sched_setaffinity(0, {cpu})
            # Should we be killed, it ends too.
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

        with open(log, "ab") as err, open(stdout or log, "ab") as out:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                       start_new_session=True, preexec_fn=prepare)
        self.running.append(process)
        return process

    def stop(self, process):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        # The group is the process and what it started, such as nginx's worker.
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        self.running.remove(process)

    def finish(self, process, seconds):
        """Wait for a program that ends by itself."""
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{process.args[0]} did not end") from None
        self.running.remove(process)
        return status


def wait_port(port, process, log, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    tail = " / ".join(log.read_text(errors="replace").splitlines()[-3:])
    raise Failed(f"{' '.join(map(str, process.args))}: does not listen on {port}: {tail}")


def wait_listening(process, port, log, seconds=20):
    """As wait_port, in the network namespace of the process, whatever that is, by what the kernel says."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        with open(f"/proc/{process.pid}/net/tcp") as f:
            if any(re.match(rf" *\d+: \w+:{port:04X} \w+:0000 0A ", line) for line in f):
                return
        time.sleep(0.01)
    tail = " / ".join(log.read_text(errors="replace").splitlines()[-3:])
    raise Failed(f"{' '.join(map(str, process.args))}: does not listen on {port}: {tail}")


def _family(pid):
    yield pid
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            children = [int(c) for c in f.read().split()]
    except OSError:
        return
    for child in children:
        yield from _family(child)


def cpu_seconds(pid):
    """User and system time of a process with its children, those that ended included."""
    total = 0
    for member in _family(pid):
        with open(f"/proc/{member}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
        if member == pid:
            total += int(fields[13]) + int(fields[14])
    return total / TICK


def machine_seconds():
    """Busy time of all CPUs; what a hypervisor took away is not ours."""
    with open("/proc/stat") as f:
        user, nice, system, _idle, _iowait, irq, softirq = map(int, f.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / TICK


def idle_seconds(cpu):
    """Of one CPU, with what a hypervisor took away: neither is work. The kernel takes this time by the clock, not by ticks."""
    with open("/proc/stat") as f:
        fields = next(line for line in f if line.startswith(f"cpu{cpu} ")).split()
    return (int(fields[4]) + int(fields[5]) + int(fields[8])) / TICK


def reaped_seconds():
    """CPU time of the children that ended and were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
