# Where Avow lies on this machine and who runs it. Read by the other tools, not run.
#
#   as root:     /var/lib/avow, and the system user `avow` runs everything
#   as a user:   ~/.avow, and that user runs everything
#
# STATE holds env/ (to run), env-test/ (to test and lint) and home/ (the data, unless AVOW_HOME says otherwise).

TREE=$(cd "$(dirname "$0")/.." && pwd -P)
RUNNER=avow

if [ "$(id -u)" -eq 0 ]; then
    STATE=/var/lib/avow
else
    STATE=${HOME:?HOME is not set}/.avow
fi

say() { printf 'avow: %s\n' "$*"; }
die() { printf 'avow: %s\n' "$*" >&2; exit 1; }
as_root() { [ "$(id -u)" -eq 0 ]; }
has() { command -v "$1" >/dev/null 2>&1; }

# Replaces this shell by a command of the user who runs Avow.
exec_as_runner() {
    as_root || exec "$@"
    if has setpriv; then
        exec setpriv --reuid="$(id -u "$RUNNER")" --regid="$(id -g "$RUNNER")" --init-groups -- "$@"
    fi
    exec runuser -u "$RUNNER" -- "$@"
}

as_runner() { (exec_as_runner "$@"); }

# What root's shell carries along and the runner could not use, or would be misled by.
forget_root() {
    unset PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV
    as_root || return 0
    unset TMPDIR XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_RUNTIME_DIR
    HOME=$STATE USER=$RUNNER LOGNAME=$RUNNER
    export HOME USER LOGNAME
}
