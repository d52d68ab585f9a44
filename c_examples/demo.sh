#!/bin/sh
# make demo: shows what the store does. Usage: demo.sh DIRECTORY_OF_PROGRAMS LEGACY_FILE
set -eu

bin=$1
legacy=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
db=$work/demo.db

# Milliseconds; whole seconds where date knows no others.
now() {
    ns=$(date +%s%N)
    case $ns in
    *[!0-9]*) echo "$(date +%s)000" ;;
    *) echo "${ns%??????}" ;;
    esac
}

begin=$(now)

# Says what is run, runs it, says how long it took.
show() {
    printf '\n$ %s\n' "$(echo "$*" | sed "s|$bin/||; s|$work/||g")"
    start=$(now)
    "$@" >"$work/output"
    took=$(($(now) - start))
    # A value ends where it ends: the newline is only for the eye.
    cat "$work/output"
    if [ -s "$work/output" ] && [ -n "$(tail -c 1 "$work/output")" ]; then echo; fi
    printf '  (%s ms)\n' "$took"
}

# Ends the demonstration where $1 is not $2.
expect() {
    if [ "$1" != "$2" ]; then
        printf 'demo: expected "%s", got "%s"\n' "$2" "$1" >&2
        exit 1
    fi
}

shell=$bin/tstore

echo "== The quickstart, linked with the shared library, then with the static one"
show "$bin/quickstart-shared" "$work/quickstart.db"
show "$bin/quickstart-static" "$work/quickstart.db"

echo
echo "== A file of the old Go store, imported into a fresh store and read back"
show "$shell" "$db" import-go "$legacy"
show "$shell" "$db" scan town/Alderbridge/
show "$shell" "$db" get town/Alderbridge/population
expect "$("$shell" "$db" get town/Alderbridge/population)" 900
expect "$("$shell" "$db" scan | wc -l | tr -d ' ')" 200

echo
echo "== Update and delete. Every command opens the store anew, so each one proves the one before"
show "$shell" "$db" put town/Alderbridge/population 912
expect "$("$shell" "$db" get town/Alderbridge/population)" 912
show "$shell" "$db" del town/Alderbridge/mayor
if "$shell" "$db" exists town/Alderbridge/mayor; then
    echo "demo: the mayor should be gone" >&2
    exit 1
fi
show "$shell" "$db" put town/Alderbridge/twin Elmford

echo
echo "== What is there now, and figures"
show "$shell" "$db" scan town/Alderbridge/
expect "$("$shell" "$db" scan town/Alderbridge/ | wc -l | tr -d ' ')" 4
show "$shell" "$db" stat

printf '\nDone in %s ms: everything above is as it should be.\n' "$(($(now) - begin))"
