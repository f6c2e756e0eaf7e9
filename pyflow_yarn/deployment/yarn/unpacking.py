"""What the shell of a container does before there is a Python: it unpacks archives, once for each node, and tries them.

An archive lies in a folder of its own in YARN's cache, where all containers of the user on that node get it from. What
is unpacked lies beside it, and YARN removes both together. The first container unpacks, under a lock that ends with
whoever holds it; the others wait. What is complete was tried, and has its last name. It counts until the node
starts anew: what was written before may never have reached the disk.
"""

from __future__ import annotations

import shlex

from pyflow_yarn.yarn.start_failures import COMPLAINT

DAMAGED_ARCHIVE = 65
NO_ARCHIVE = 66
WRONG_NODE = 69
CANNOT_UNPACK = 73
"""Exit codes of a container that has no Python; of those of sysexits.h, which neither YARN nor shells use."""

LONGEST_WAIT = 300
"""Seconds for which a container waits for another one's unpacking, before it unpacks for itself."""

LINGER = "pyflow_linger"
"""Variable of the shell: seconds for which it stays when it has said what is wrong, so that somebody can read it."""

_NO_PYTHON = (
    "install Python 3.11 or later there with pyflow's requirements, or leave python.executable (-pyexec) out, and nodes"
    " get a copy of the client's environment"
)
_BRING_ONE = "or name an archive that was made on one with -pyarch, and its interpreter with -pyexec"
_LIKE_NODES = f"submit from a machine whose Linux is as old as the nodes', {_BRING_ONE}"

PRELUDE = f"""\
pyflow_fail() {{
    echo "{COMPLAINT}$(uname -n): $2" >&2
    sleep "${{{LINGER}:-0}}"
    exit "$1"
}}

pyflow_complete() {{
    [ -e "$1/.complete" ] && [ "$(cat "$1/.complete")" = "$(cat /proc/sys/kernel/random/boot_id)" ]
}}

# Arguments: archive, target, code that tries what is in $unpacked. Says what is wrong.
pyflow_unpack_to() {{
    (
        set +e
        flock -w {LONGEST_WAIT} 9 || exit {CANNOT_UNPACK}
        pyflow_complete "$2" && exit
        # Left by containers that were killed, or complete before the node started anew.
        rm -rf "$2" "$2".new.*
        unpacked=$2.new.$$
        mkdir "$unpacked" || exit {CANNOT_UNPACK}
        if ! said=$(LC_ALL=C tar --no-same-owner --no-same-permissions -xf "$1" -C "$unpacked" 2>&1); then
            rm -rf "$unpacked"
            echo "$said" | grep -m 1 -E ": (Wrote only|Cannot (write|open|mkdir|create))" && exit {CANNOT_UNPACK}
            echo "the archive is damaged: $(echo "$said" | head -n 1)"
            exit {DAMAGED_ARCHIVE}
        fi
        if ! eval "$3"; then
            rm -rf "$unpacked"
            exit {WRONG_NODE}
        fi
        cat /proc/sys/kernel/random/boot_id >"$unpacked/.complete" && mv -T "$unpacked" "$2" || exit {CANNOT_UNPACK}
    ) 9>"$2.lock"
}}

# Arguments: archive, code as above. Sets $pyflow_unpacked.
pyflow_unpack() {{
    pyflow_archive=$(readlink -f -- "$1") && [ -r "$pyflow_archive" ] ||
        pyflow_fail {NO_ARCHIVE} "$1 is not in this container: submit again."
    for pyflow_place in "${{pyflow_archive%/*}}" "$PWD"; do
        pyflow_unpacked=$pyflow_place/${{1##*/}}.unpacked
        pyflow_complete "$pyflow_unpacked" && return
        pyflow_said=$(pyflow_unpack_to "$pyflow_archive" "$pyflow_unpacked" "$2" 2>&1) && return
        pyflow_status=$?
        # What the shell itself says: it cannot write the lock.
        [ $pyflow_status -ge {DAMAGED_ARCHIVE} ] || pyflow_status={CANNOT_UNPACK}
    done
    case $pyflow_status in
        {DAMAGED_ARCHIVE}) pyflow_said="$pyflow_said: delete it below .flink/cache on HDFS, and submit again." ;;
        {CANNOT_UNPACK}) pyflow_said="$pyflow_said: make room for it (yarn.nodemanager.local-dirs)." ;;
    esac
    pyflow_fail $pyflow_status "cannot unpack $1 in $pyflow_place: $pyflow_said"
}}

# Argument: architecture.
pyflow_machine() {{
    [ "$(uname -m)" = "$1" ] || pyflow_fail {WRONG_NODE} "this node's processor is $(uname -m),\\
 and the Python environment is for $1: have nodes chosen by a label (yarn.application.node-label), {_BRING_ONE}."
}}

# Arguments: interpreter, Python code, y of the glibc 2.y that it needs, what to do otherwise. Says what is wrong.
pyflow_try() {{
    said=$("$1" -I -c "$2" 2>&1) && return
    status=$?
    glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null)
    if [ "${{glibc#glibc 2.}}" -lt "$3" ] 2>/dev/null; then
        echo "this node has $glibc, and the Python environment needs glibc 2.$3: $4."
    else
        echo "its interpreter does not work on this node (status $status: $(echo "$said" | tail -n 1)): $4."
    fi
    return 1
}}
"""
"""Functions of the shell that the commands below need, in front of them and once."""

# An interpreter of the node: old ones understand it, too.
_TRIAL_OF_NODES = (
    "import sys; sys.version_info >= (3, 11) or sys.exit('it is Python %d.%d, and jobs need 3.11 or later' %"
    " sys.version_info[:2]); import msgspec, cloudpickle, mmh3, setproctitle"
)
# Extension modules with libraries of the archive, and a package: that packages are found.
_TRIAL = "import _ctypes, _hashlib, _ssl, zlib, msgspec"


def unpack_environment(archive: str, machine: str, glibc: int) -> str:
    """Shell commands that unpack an environment of ours and set ``$python`` to its interpreter.

    ``archive`` is its name in the container. Where it cannot be had or does not work, the shell ends with one of the
    exit codes above and a sentence on standard error.
    """
    trial = f'pyflow_try "$unpacked/bin/python" "{_TRIAL}" {glibc} "{_LIKE_NODES}"'
    return (
        f"pyflow_machine {shlex.quote(machine)}\n"
        f"pyflow_unpack {shlex.quote(archive)} {shlex.quote(trial)}\n"
        "python=$pyflow_unpacked/bin/python\n"
    )


def unpack_code(archive: str) -> str:
    """Shell commands that unpack our own code and set ``$code`` to the folder that holds its packages."""
    return f"pyflow_unpack {shlex.quote(archive)} :\ncode=$pyflow_unpacked\n"


def use_python(executable: str) -> str:
    """Shell commands that set ``$python`` to an interpreter that nodes have by themselves, and try it."""
    path = shlex.quote(executable)
    trial = f'pyflow_try {path} "{_TRIAL_OF_NODES}" 0 "{_NO_PYTHON}"'
    return (
        f"python={path}\n"
        f"pyflow_said=$({trial}) || pyflow_fail {WRONG_NODE} {path}' (python.executable): '\"$pyflow_said\"\n"
    )
