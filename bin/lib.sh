# shellcheck shell=bash
# What the scripts of this folder share. They source it from the root of the repository.

# The folder that cargo builds into.
target=${CARGO_TARGET_DIR:-target}

fail() {
    echo "$*" >&2
    exit 1
}

need_cargo() {
    command -v cargo >/dev/null || fail "cargo is missing: install Rust from https://rustup.rs"
}

# Whether any Postgres is here; rowcall itself looks more closely, at its version too.
postgres_is_here() {
    command -v postgres >/dev/null || [[ -x $(pg_config --bindir 2>/dev/null)/postgres ]] ||
        compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null ||
        compgen -G '/usr/pgsql-*/bin/postgres' >/dev/null ||
        compgen -G '/opt/homebrew/opt/postgresql@*/bin/postgres' >/dev/null ||
        compgen -G '/usr/local/opt/postgresql@*/bin/postgres' >/dev/null ||
        compgen -G '/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin/postgres' >/dev/null ||
        compgen -G '/Applications/Postgres.app/Contents/Versions/*/bin/postgres' >/dev/null
}

# Makes sure that Postgres is here, unless DATABASE_URL names another: installs it where we may, else says what to install.
need_postgres() {
    if [[ -n ${DATABASE_URL:-} ]] || postgres_is_here; then
        return
    fi
    need_package "Postgres 14 or newer" postgresql@17 postgresql
}

# Makes sure that Node is here, new enough for the linter of bin/lint-openapi.
need_node() {
    if ! command -v npx >/dev/null; then
        need_package "Node 20.19, or 22.12 or newer," node nodejs npm
    fi
    node -e 'const [a, b] = process.versions.node.split(".").map(Number);
        process.exit(a > 22 || (a == 22 && b >= 12) || (a == 20 && b >= 19) ? 0 : 1)' ||
        fail "Node $(node --version) is too old: install 20.19, or 22.12 or newer, from https://nodejs.org"
}

# Installs what is missing where we may, else says what to install: its name, Homebrew's, and those of apt-get.
need_package() {
    local what=$1 formula=$2
    shift 2
    if [[ $(uname) == Darwin ]]; then
        fail "$what is missing: brew install $formula"
    elif [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
        fail "$what is missing: apt-get install $* (as root), or your system's package"
    fi
    echo "Installing $* with apt-get ..." >&2
    quietly apt-get update
    quietly env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"
}

# Makes sure that PgBouncer is here, of which the tests start some of their own: installs it where we may, else says what to
# install.
need_pgbouncer() {
    if PATH=$PATH:/usr/sbin command -v pgbouncer >/dev/null; then
        return
    fi
    need_package PgBouncer pgbouncer pgbouncer
    # The package starts a service that nobody asked for.
    service pgbouncer stop >/dev/null 2>&1 || true
    systemctl disable pgbouncer >/dev/null 2>&1 || true
}

# Runs a command, and shows what it said only when it failed.
quietly() {
    local said
    if ! said=$("$@" 2>&1 </dev/null); then
        fail "$said"$'\n'"failed: $*"
    fi
}
