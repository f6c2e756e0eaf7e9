# Sourced by the commands beside it, with $root set to the checkout: finds the project's virtual environment, or has
# bootstrap.py build it. Costs one `cmp` when the environment stands: no Python runs to find out which Python to run.

pyflow_current() {
    # The environment that a folder of environments names as the usual one. A process keeps to the one it started with.
    read -r environment <"$1/current" || return 1
    environment=$1/$environment
    # The marker is a copy of the setup.cfg that the environment was last checked against, written when it is complete.
    [ -x "$environment/bin/python" ] && cmp -s "$environment/complete" "$root/setup.cfg"
} 2>/dev/null

pyflow_standing() {
    # An explicit interpreter may need another environment than the usual one: bootstrap.py knows.
    [ -z "${PYFLOW_PYTHON:-}" ] || return 1
    if [ -n "${PYFLOW_CACHE_DIR:-}" ]; then
        pyflow_current "$PYFLOW_CACHE_DIR/checkouts$root"
        return
    fi
    pyflow_current "$root/.pyflow" && return
    case ${XDG_CACHE_HOME:-} in
        /*) pyflow_current "$XDG_CACHE_HOME/pyflow-yarn/checkouts$root" ;;
        *) pyflow_current "${HOME:-}/.cache/pyflow-yarn/checkouts$root" ;;
    esac
}

pyflow_bare_python() {
    if [ -n "${PYFLOW_PYTHON:-}" ]; then
        set -- "$PYFLOW_PYTHON"
    else
        set -- python3 python3.13 python3.12 python3.11
    fi
    for bare in "$@"; do
        "$bare" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && return
    done
    if [ -n "${PYFLOW_PYTHON:-}" ]; then
        echo "pyflow: PYFLOW_PYTHON names $PYFLOW_PYTHON, which is no Python 3.11 or later." >&2
    else
        echo "pyflow: found no Python 3.11 or later on PATH: install one, or name it in PYFLOW_PYTHON." >&2
    fi
    return 1
}

pyflow_installed() {
    # In a wheel these commands are below <prefix>/lib/python3.x/site-packages: the Python it was installed for.
    prefix=${root%/lib/python*}
    name=${root#"$prefix/lib/"}
    name=${name%%/*}
    python=$prefix/bin/$name
    [ -x "$python" ] || python=$name
}

pyflow_environment() {
    # Sets $python, and for an environment outside the checkout the place of compiled modules. Arguments: extras.
    if [ ! -f "$root/setup.cfg" ]; then
        pyflow_installed
        return
    fi
    if [ $# -gt 0 ] || ! pyflow_standing; then
        pyflow_bare_python || exit 1
        environment=$("$bare" -I "$root/bin/bootstrap.py" "$@") || exit
    fi
    python=$environment/bin/python
    case $environment in
        "$root"/*) ;;
        *) export PYTHONPYCACHEPREFIX="${environment%/*}/bytecode" ;;
    esac
}
