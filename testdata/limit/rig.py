"""What the scripts beside it share: the programs that they measure, the server that those talk to, and the system's clock
of what a process used."""

import contextlib
import os
import statistics
import subprocess

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.join(here, "..", "..")


def build(tmp, *names):
    """Builds programs, and gives the path of each. limit-tls is left out where there are no headers of OpenSSL."""
    commands = {
        "rtbench": (["go", "build", "-o", "{}", "."], root),
        "naive": (["go", "build", "-o", "{}", "./testdata/limit/naive"], root),
        "epoll": (["go", "build", "-o", "{}", "./testdata/limit/epoll"], root),
        "limit": (["cc", "-O2", "-o", "{}", "limit.c"], here),
        "sender": (["cc", "-O2", "-o", "{}", "sender.c"], here),
        "limit-tls": (["cc", "-O2", "-DTLS", "-o", "{}", "limit.c", "-lssl", "-lcrypto"], here),
    }
    built = {}
    for name in names:
        path = os.path.join(tmp, name)
        command, folder = commands[name]
        done = subprocess.run([word.format(path) for word in command], cwd=folder, stderr=subprocess.PIPE, text=True)
        if done.returncode == 0:
            built[name] = path
        elif name != "limit-tls":
            raise SystemExit(done.stderr)
    return built


@contextlib.contextmanager
def serving(rtbench, rate, tls=False):
    """The reference server, which sends so many events a second to each subscriber; gives its port."""
    command = [rtbench, "serve", "--listen", "127.0.0.1:0", "--rate", str(rate)] + (["--tls"] if tls else [])
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield int(server.stdout.readline().strip().rsplit(":", 1)[1])
    finally:
        server.terminate()
        server.wait()


def address(protocol, port, tls=False):
    """The URL of the stream that every server of these has."""
    scheme = {"sse": "http", "ws": "ws"}[protocol] + ("s" if tls else "")
    return f"{scheme}://127.0.0.1:{port}/{protocol}"


def cpu(pid):
    """User and system time that a process has used, in seconds."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def show(values, digits=2):
    """The median, and between which values it is."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"
