#!/bin/sh
# v2 reads and writes with wrk, both daemons in turn: bench/v2-http.sh URL PID [URL PID ...]
# Prints requests a second and CPU microseconds of the daemon a request (all its threads).
put=$(mktemp)
trap 'rm -f "$put"' EXIT
cat >"$put" <<'LUA'
wrk.method = "PUT"
wrk.body = "value=" .. string.rep("x", 256)
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
LUA
cpu() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
while [ $# -ge 2 ]; do
  curl -s -o /dev/null -X PUT "$1/v2/keys/bench" -d value=bar
  for script in '' "-s $put"; do
    before=$(cpu "$2")
    # shellcheck disable=SC2086
    out=$(wrk -t1 -c64 -d"${SECONDS_EACH:-5}" $script "$1/v2/keys/bench")
    after=$(cpu "$2")
    count=$(echo "$out" | awk '/requests in/ { print $1 }')
    rate=$(echo "$out" | awk '/Requests\/sec/ { print $2 }')
    kind=GET
    [ -n "$script" ] && kind=PUT
    echo "$1 $kind $rate/s, $(((after - before) * 10000 / count)) us CPU a request"
  done
  shift 2
done
