#!/bin/sh
# Starts the JobManager of this host and the TaskManagers of conf/workers, and registers the cluster for bin/flink.

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
exec "$python" -P -m pyflow_yarn.cli.daemons start-cluster "$@"
