#!/bin/sh
# standalone-job.sh (start|start-foreground|stop|stop-all) [-Dkey=value ...] [options of flink run] script.py [arguments]

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
exec "$python" -P -m pyflow_yarn.cli.daemons standalone-job "$@"
