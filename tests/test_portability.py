"""What cannot be tested on this machine: sources free of what other systems lack."""

import ast
import importlib
import os
import pkgutil
import re
import signal
import sys
from pathlib import Path

import pytest

import landscope

SOURCES = sorted(Path(landscope.__file__).parent.rglob("*.py"))

# Names of modules that are not there on Windows, or not on macOS.
_MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty", "winreg"}
_MEMBERS = {
    "os": {
        "chown", "fork", "forkpty", "getegid", "geteuid", "getgid", "getgroups", "getloadavg",
        "getpgid", "getpriority", "getuid", "initgroups", "killpg", "mkfifo", "mknod", "nice",
        "pread", "pwrite", "rename", "sched_getaffinity", "sched_setaffinity", "setpgid",
        "setpriority", "setsid", "setuid", "statvfs", "sync", "sysconf", "uname", "wait", "waitpid",
    },
    "signal": {
        "SIGALRM", "SIGBUS", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT",
        "SIGSTOP", "SIGUSR1", "SIGUSR2", "alarm", "pause", "pthread_kill", "pthread_sigmask",
        "setitimer", "sigwait",
    },
}  # fmt: skip
_CALLS = re.compile(
    r"""get_context\(["']fork|set_start_method|["']/(dev|proc|tmp|sys|etc|var)/|\.rename\(self"""
)
_TEXT = {"read_text", "write_text"}

# Where the source asks first whether the system has it.
_ALLOWED = {("cpus.py", "os.sched_getaffinity"), ("processes.py", "signal.pthread_sigmask")}


@pytest.fixture(scope="module")
def parsed():
    """Each source, its text and its syntax tree."""
    texts = {source: source.read_text(encoding="utf-8") for source in SOURCES}
    return [(source, text, list(ast.walk(ast.parse(text)))) for source, text in texts.items()]


def test_no_source_uses_what_one_system_lacks(parsed):
    found = []
    for source, text, nodes in parsed:
        found += [f"{source.name}: {match[0]}" for match in _CALLS.finditer(text)]
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                named = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                found += [f"{source.name}:{node.lineno}: {name}" for name in named & _MODULES]
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                used = f"{node.value.id}.{node.attr}"
                lacking = node.attr in _MEMBERS.get(node.value.id, ())
                if lacking and (source.name, used) not in _ALLOWED:
                    found.append(f"{source.name}:{node.lineno}: {used}")
    assert not found


def test_every_text_that_a_source_reads_or_writes_names_its_encoding(parsed):
    found = []
    for source, _, nodes in parsed:
        for call in (node for node in nodes if isinstance(node, ast.Call)):
            name = getattr(call.func, "attr", getattr(call.func, "id", None))
            words = [a.value for a in call.args if isinstance(a, ast.Constant)]
            words = [word for word in words if isinstance(word, str)]
            named = "utf-8" in words or "encoding" in {keyword.arg for keyword in call.keywords}
            opens = name == "open" and any(re.fullmatch("[rwax]t?", word) for word in words)
            if (name in _TEXT or opens) and not named:
                found.append(f"{source.name}:{call.lineno}")
    assert not found


@pytest.mark.slow
@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_every_module_is_importable_without_what_the_system_lacks(system, monkeypatch):
    import signal as signals

    names = [
        module.name
        for module in pkgutil.walk_packages(landscope.__path__, "landscope.")
        if not module.name.startswith(("landscope.integrations.", "landscope.__main__"))
    ]
    for name in names:  # libraries make their own choice of system before
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.split(".")[0] == "landscope"]:
        monkeypatch.delitem(sys.modules, name)
    for module, members in ((os, _MEMBERS["os"] - {"rename"}), (signals, _MEMBERS["signal"])):
        for member in members:
            monkeypatch.delattr(module, member, raising=False)
    monkeypatch.setattr(sys, "platform", system)
    for name in _MODULES:
        monkeypatch.setitem(sys.modules, name, None)
    for name in names:
        importlib.import_module(name)


def test_signals_that_commands_handle_are_on_every_system():
    assert {"SIGINT", "SIGTERM"} <= set(dir(signal))


def test_cpus_are_counted_where_the_system_cannot_say_which_are_ours(monkeypatch):
    from landscope.system.cpus import available_cpus

    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert available_cpus() == (os.cpu_count() or 1)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cpus() == 1
