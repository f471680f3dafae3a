#!/bin/sh
# Puts each defect of src/planted.rs into the kernel, one at a time, and runs the unmodified tests of the locks and those
# of tests/it on it. Fails when they pass: what they let through once, they would let through again.
#
#   engine/kernel/tests/planted.sh              all of them, 3 seeds each
#   engine/kernel/tests/planted.sh NAME ...     these
#   RUSTYDB_PLANTED_SEEDS=10 ...                up to 10 seeds, until one finds it
#
# Only the workspace's own crates are built anew for each: cargo calls this script in the place of rustc for them.
set -eu

case "${1:-}" in
*rustc)
    [ "${CARGO_PKG_NAME:-}" = rustydb-kernel ] && [ -n "${PLANTED:-}" ] && set -- "$@" --cfg "planted=\"$PLANTED\""
    exec "$@"
    ;;
esac

script=$(realpath "$0")
kernel=$(dirname "$(dirname "$script")")
cd "$kernel"
seeds=${RUSTYDB_PLANTED_SEEDS:-3}
export RUSTC_WORKSPACE_WRAPPER="$script"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$kernel/../../target/planted}"
log="$CARGO_TARGET_DIR/planted.log"
mkdir -p "$CARGO_TARGET_DIR"

# Runs the tests with the seeds in turn; succeeds when all pass.
passes() {
    touch src/planted.rs # cargo does not see that what the wrapper adds has changed
    cargo test --quiet --no-run --lib --test it
    seed=1
    while [ "$seed" -le "$seeds" ]; do
        RUSTYDB_SEED=$seed RUST_BACKTRACE=0 && export RUSTYDB_SEED RUST_BACKTRACE
        timeout 600 cargo test --quiet --lib locks:: >"$log" 2>&1 || return 1
        timeout 600 cargo test --quiet --test it >"$log" 2>&1 || return 1
        seed=$((seed + 1))
    done
}

if [ $# -gt 0 ]; then
    names=$*
else
    names=$(sed -n 's/^\/\/! | `\([a-z-]*\)` .*/\1/p' src/planted.rs)
    PLANTED='' && export PLANTED
    if ! passes; then
        echo "the tests fail without a defect:" && cat "$log"
        exit 1
    fi
fi

missed=''
for name in $names; do
    PLANTED=$name && export PLANTED
    if passes; then
        echo "$name: not found with $seeds seeds"
        missed="$missed $name"
    else
        by=$(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p; s/^    \([a-z_]*::[a-z_:]*\)$/\1/p' "$log" | sort -u | tr '\n' ' ')
        echo "$name: found with seed $seed by ${by:-a run that did not end}"
    fi
done
touch src/planted.rs
[ -z "$missed" ]
