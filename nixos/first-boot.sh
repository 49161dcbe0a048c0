#!/usr/bin/env bash
# Takes what the cloud's metadata service knows of this machine: SSH keys, and the [roster] section of the user data. Runs once
# at each boot before the server and never fails the boot: without metadata the machine is as its image made it.
#
# Environment: METADATA (the service), KEYS (the file of SSH keys to write), SETTINGS (the file of variables to write), PORTS (the
# local ports to ask from: Scaleway answers for user data only to those of root), TRIES, CHECK (the program that checks settings).
set -euo pipefail
umask 077

METADATA=${METADATA:-http://169.254.42.42}
PORTS=${PORTS:-1-1023}
TRIES=${TRIES:-15}
# Bytes of the longest answer that is read.
LONGEST=1048576

say() { printf 'first boot: %s\n' "$*"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Asks for a path; prints the status, 000 where nothing answered.
ask() {
    curl --silent --show-error --max-time 5 --max-filesize "$LONGEST" --local-port "$PORTS" \
        --output "$work/$2" --write-out '%{http_code}' "$METADATA$1" 2>"$work/error" || true
}

status=000
for ((try = 0; try < TRIES; try++)); do
    status=$(ask '/conf?format=json' conf)
    case $status in 000* | 5??) sleep 1 ;; *) break ;; esac
done
if [ "$status" != 200 ]; then
    say "no metadata from $METADATA (status $status)"
elif ! jq -es 'length == 1 and (.[0] | type == "object")' "$work/conf" >/dev/null 2>&1; then
    say "the metadata is no JSON object"
else
    # Keys of the project, and those in tags, where spaces are written as underscores.
    jq -r '(.ssh_public_keys // [] | arrays | .[] | objects | .key // empty | strings),
           (.tags // [] | arrays | .[] | strings | select(startswith("AUTHORIZED_KEY="))
            | ltrimstr("AUTHORIZED_KEY=") | gsub("_"; " "))' "$work/conf" >"$work/keys" || : >"$work/keys"
    : >"$work/good"
    while IFS= read -r key; do
        if [ -n "$key" ] && printf '%s\n' "$key" | ssh-keygen -l -f - >/dev/null 2>&1; then
            printf '%s\n' "$key" >>"$work/good"
        elif [ -n "$key" ]; then
            say "a key is left out, since it is none: ${key:0:20}"
        fi
    done <"$work/keys"
    mkdir -p "$(dirname "$KEYS")"
    cp "$work/good" "$KEYS.new"
    mv "$KEYS.new" "$KEYS"
    say "$(wc -l <"$KEYS") keys"
fi

# The lines of the [roster] section as variables: port = 6380 becomes ROSTER_PORT=6380.
variables() {
    awk '
        /^[[:space:]]*\[/ { inside = ($0 ~ /^[[:space:]]*\[roster\][[:space:]]*(#.*)?$/); next }
        !inside || /^[[:space:]]*(#.*)?$/ { next }
        {
            at = index($0, "=")
            name = substr($0, 1, at - 1); value = substr($0, at + 1)
            gsub(/^[[:space:]]+|[[:space:]]+$/, "", name); gsub(/^[[:space:]]+|[[:space:]]+$/, "", value)
            if (at == 0 || name !~ /^[a-z][a-z0-9_-]*$/) { bad = 1; exit }
            if (value ~ /^".*"$/) value = substr(value, 2, length(value) - 2)
            if (value ~ /["\\$`'"'"']/) { bad = 1; exit }
            gsub(/-/, "_", name)
            printf "ROSTER_%s=\"%s\"\n", toupper(name), value
        }
        END { exit bad }
    ' "$1"
}

mkdir -p "$(dirname "$SETTINGS")"
rm -f "$SETTINGS"
status=$(ask /user_data/cloud-init user)
if [ "$status" != 200 ]; then
    say "no user data (status $status)"
elif ! variables "$work/user" >"$work/variables"; then
    say "the [roster] section has a line that is not name = value; it is left out"
elif [ ! -s "$work/variables" ]; then
    say "no [roster] section in the user data"
elif ! (set -a && . "$work/variables" && "$CHECK" check-config >/dev/null 2>"$work/error"); then
    say "the [roster] section is left out: $(head -n 1 "$work/error")"
else
    cp "$work/variables" "$SETTINGS"
    say "$(wc -l <"$SETTINGS") settings"
fi
