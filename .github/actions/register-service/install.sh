#!/usr/bin/env bash
# The commands of action.yml. They work outside of GitHub too:
#
#   install.sh key        say where the binary belongs, and the name under which a cache keeps that folder
#   install.sh install    build it there with cargo unless it is there already, and put the folder on the PATH
#
# GitHub's runners set GITHUB_OUTPUT and GITHUB_PATH; without them the same lines are printed.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
packages=(schemas proxy-client register-service)

# All that the binary is made from, and what it runs on.
digest() {
    {
        cd "$repository"
        cat Cargo.toml Cargo.lock
        find "${packages[@]}" -type f \( -name '*.rs' -o -name Cargo.toml -o -name '*.schema.json' -o -name '*.md' \) -print0 |
            LC_ALL=C sort -z | xargs -0 cat
        uname -sm
        getconf GNU_LIBC_VERSION 2>/dev/null || true
    } | sum
}

sum() { { sha256sum 2>/dev/null || shasum -a 256; } | cut -c1-16; }

key=register-service-$(digest)
folder=${RUNNER_TOOL_CACHE:-$HOME/.cache}/$key

# Appends lines to a file that the runner reads, or prints them where there is no runner.
tell() { if [[ -n $1 ]]; then cat >>"$1"; else cat; fi; }

case ${1:-} in
    key)
        printf 'folder=%s\nkey=%s\n' "$folder" "$key" | tell "${GITHUB_OUTPUT:-}"
        ;;
    install)
        program=$folder/bin/register-service
        [[ -x $program ]] || cargo install --locked --path "$repository/register-service" --root "$folder"
        printf '%s\n' "$folder/bin" | tell "${GITHUB_PATH:-}"
        printf 'version=%s\n' "$("$program" --version)" | tell "${GITHUB_OUTPUT:-}"
        ;;
    *)
        sed -n '2,/^set /{ /^#/s/^# \{0,1\}//p }' "${BASH_SOURCE[0]}" >&2
        exit 2
        ;;
esac
