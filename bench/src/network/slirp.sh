#!/bin/sh
# Runs a command in an empty network namespace that slirp4netns(1) connects. For the benchmark `network`.
here=$(mktemp -d)
mkfifo "$here/go"
# It waits until it is connected.
unshare --user --map-root-user --net sh -c 'echo $$ > "$0/pid"; read go < "$0/go"; exec "$@"' "$here" "$@" &
child=$!
until [ -s "$here/pid" ]; do sleep 0.01; done
slirp4netns --configure --mtu=65520 --ready-fd=4 "$(cat "$here/pid")" tap0 4> "$here/ready" > /dev/null 2>&1 &
slirp=$!
until [ -s "$here/ready" ]; do
    kill -0 "$slirp" || { kill "$child"; rm -r "$here"; exit 1; }
    sleep 0.01
done
echo go > "$here/go"
wait "$child"
status=$?
kill "$slirp"
wait "$slirp" 2> /dev/null
rm -r "$here"
exit "$status"
