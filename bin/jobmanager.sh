#!/bin/sh
# jobmanager.sh (start|start-foreground|stop|stop-all) [host] [webport] [-Dkey=value ...]

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
exec "$python" -P -m pyflow_yarn.cli.daemons jobmanager "$@"
