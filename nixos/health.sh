#!/usr/bin/env bash
# Says whether this boot is good: the server answers, and the doctor finds nothing but notes. Where it is not, and the version
# is on trial, the machine starts anew: the boot loader counts the tries, and takes the version before when they are used up. A
# version that was good once is left alone, since starting it anew would not mend it.
#
# Environment: ADDRESS and PORT (where the server answers; ROSTER_PORT goes before, and 0 is no port), PROGRAM (roster), STATUS
# (says "indeterminate" for a version on trial), REBOOT, SECONDS_MAX (how long the server may take).
set -euo pipefail

port=${ROSTER_PORT:-$PORT}
SECONDS_MAX=${SECONDS_MAX:-600}

say() { printf 'health: %s\n' "$*"; }

# A server with a password answers as well: that it wants one.
answers() {
    local reply
    # shellcheck disable=SC2016 # The inner shell puts its own arguments in.
    reply=$(timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1"; printf "PING\r\n" >&3; IFS= read -r line <&3; echo "$line"' \
        "$ADDRESS" "$port" 2>/dev/null) || return 1
    [[ $reply == +PONG* || $reply == -NOAUTH* ]]
}

is_good() {
    while [ "$port" != 0 ] && ! answers; do
        if [ "$SECONDS" -ge "$SECONDS_MAX" ]; then
            say "no answer from $ADDRESS:$port after $SECONDS_MAX s"
            return 1
        fi
        sleep 1
    done
    if ! "$PROGRAM" doctor; then
        say "the doctor finds faults"
        return 1
    fi
}

if is_good; then
    say "the server answers and the host is as it should be"
    exit 0
fi
if [ "$($STATUS)" = indeterminate ]; then
    say "this version is on trial: starting anew"
    ${REBOOT:-systemctl reboot}
fi
exit 1
