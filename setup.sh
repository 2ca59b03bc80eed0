#!/bin/sh
# Makes .venv as requirements.txt says; `make setup` calls it. Run again it costs a few milliseconds.
#
# PYTHON=/path/to/python chooses the interpreter. Exit code 3: this machine lacks something.
set -eu
cd "$(dirname "$0")"

venv=.venv
boot=.venv-boot
stamp=$venv/.setup-done     # written last: its absence means that a set-up did not end
running=$venv/.setup-running

fail() {
    printf 'error: %s\n  next: %s\n' "$1" "$2" >&2
    exit 3
}

fingerprint() { # what the environment is made of; a moved checkout breaks its scripts
    { pwd -P; cat requirements.txt pyproject.toml setup.sh; } | cksum
}

works() { # a Python that our wheels fit: 3.11 to 3.14
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        works "$PYTHON" || fail "PYTHON=$PYTHON is not a Python between 3.11 and 3.14" \
            "name another one, or unset PYTHON"
        command -v "$PYTHON"
        return
    fi
    for name in python3 python3.13 python3.12 python3.11 python3.14 python; do
        if works "$name"; then
            command -v "$name"
            return
        fi
    done
    fail "no Python between 3.11 and 3.14 was found" \
        "install one (Debian, Ubuntu: apt install python3 python3-venv), or set PYTHON=/path/to/python"
}

find_uv() { # the one on the PATH, else the locked one in a folder of its own
    if command -v uv >/dev/null 2>&1; then
        command -v uv
    else
        [ -x $boot/bin/uv ] || bootstrap_uv "$1"
        echo "$PWD/$boot/bin/uv"
    fi
}

bootstrap_uv() {
    echo "setup: getting uv, which installs the rest" >&2
    rm -rf $boot $boot.part
    mkdir $boot.part
    sed -n '/^uv==/,/[^\\]$/p' requirements.txt >$boot.part/uv.txt
    # Not into an environment of the system: --target works where that one is managed by the system.
    "$1" -m pip --version >/dev/null 2>&1 || {
        "$1" -m venv $boot.part/venv >/dev/null 2>&1 || fail "this Python has neither pip nor venv" \
            "install one (Debian, Ubuntu: apt install python3-venv)"
        set -- "$PWD/$boot.part/venv/bin/python"
    }
    "$1" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
        --no-deps --require-hashes --target $boot.part/uv -r $boot.part/uv.txt >&2 || fail "uv could not be installed" \
        "check the network (and proxy settings), then run this again"
    mv $boot.part/uv $boot
    rm -rf $boot.part
}

if [ -x $venv/bin/python ] && [ -f $stamp ] && [ "$(cat $stamp)" = "$(fingerprint)" ]; then
    exit 0
fi

python=$(find_python)
uv=$(find_uv "$python")
# What was cut off half-way, made for a Python that is gone, or moved here is not worth repairing.
if [ -f $running ] || ! $venv/bin/python -c '' 2>/dev/null ||
    ! grep -qF "$(pwd -P)/$venv" $venv/bin/activate 2>/dev/null; then
    rm -rf $venv
fi
[ -d $venv ] || "$uv" venv --quiet --python "$python" $venv
rm -f $stamp
touch $running
echo "setup: installing the locked packages into $venv" >&2
VIRTUAL_ENV=$PWD/$venv
export VIRTUAL_ENV
[ -t 2 ] && quiet= || quiet=--quiet # the progress of 150 packages is for a person
"$uv" pip sync $quiet --require-hashes requirements.txt || fail "the packages could not be installed" \
    "check the network (and proxy settings), then run this again"
"$uv" pip install --quiet --no-deps --no-build-isolation --editable .
fingerprint >$stamp
rm -f $running
