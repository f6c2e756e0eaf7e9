#!/bin/sh
# yarn-session.sh [options]: a session on YARN; -h lists the options.

self=$0
while [ -L "$self" ]; do
    target=$(readlink "$self")
    case $target in
        /*) self=$target ;;
        *) self=$(dirname "$self")/$target ;;
    esac
done
root=$(unset CDPATH && cd -- "$(dirname -- "$self")/.." && pwd -P) || exit 1

. "$root/bin/environment.sh"
pyflow_environment
exec "$python" -P -m pyflow_yarn.cli.yarn_session "$@"
