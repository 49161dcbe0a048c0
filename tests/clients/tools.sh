#!/usr/bin/env bash
# The command-line tools that users reach for first.
set -euo pipefail
port=$1
cli() { redis-cli -p "$port" "$@"; }
expect() { # expect WHAT PATTERN, on standard input
    local text
    text=$(cat)
    grep -qE -- "$2" <<<"$text" || { echo "$1: expected /$2/, got:"; head -n 20 <<<"$text"; exit 1; }
}

cli flushall | expect flushall '^OK$'
cli set greeting hello | expect set '^OK$'
cli get greeting | expect get '^hello$'
cli -3 hello 3 | expect 'hello 3' 'proto'
for i in $(seq 500); do echo "SET key:$i $i"; done | cli --pipe 2>&1 | expect pipe 'errors: 0, replies: 500'
cli --scan --pattern 'key:*' | wc -l | expect scan '^500$'
cli --bigkeys | expect bigkeys 'Biggest string|biggest string'
cli --memkeys -i 0 | expect memkeys 'Biggest string|biggest string'
timeout 2 redis-cli -p "$port" --latency --raw 2>&1 | expect latency '[0-9]' || true
cli --raw info server | expect info 'redis_version:'
cli command count | expect 'command count' '[0-9]+'
cli debug sleep 0 | expect 'debug sleep' 'OK'
cli client list | expect 'client list' 'addr=127.0.0.1'
echo 'get greeting' | cli | expect 'standard input' '^hello$'
redis-benchmark -p "$port" -q -n 20000 -P 16 -t ping,set,get,incr,mset 2>&1 | expect redis-benchmark 'GET: [0-9.]+ requests per second'
redis-benchmark -p "$port" -q -n 2000 -t ping,set,get 2>&1 | expect redis-benchmark 'SET: [0-9.]+ requests per second'
cli flushall async | expect 'flushall async' '^OK$'
cli dbsize | expect dbsize '^0$'
