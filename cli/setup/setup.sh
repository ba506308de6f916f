#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sets up all that Lockstep needs on a Debian 12 machine with Node 20, as root: Debian packages, npm
# packages, the build, the test guest. Does only what is missing; with everything there it takes a moment
# and needs no network.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
# shellcheck source=cli/setup/packages.sh
. "$here/packages.sh"

say() { echo "setup: $*"; }
fail() {
  echo "setup: $*" >&2
  exit 1
}

require_machine() {
  [ "$(id -u)" = 0 ] || fail "not root. Network namespaces, taps and packages need it: run this as root."
  local os=unknown
  [ -r /etc/os-release ] && os=$(. /etc/os-release && echo "${ID:-} ${VERSION_ID:-}")
  [ "$os" = "debian 12" ] || fail "this is '$os'; the set-up knows Debian 12 (bookworm) only."
  [ "$(dpkg --print-architecture)" = amd64 ] || fail "the engine runs on amd64 only."
  command -v node >/dev/null || fail "Node.js is missing: install Node 20."
  command -v npm >/dev/null || fail "npm is missing: install it beside Node.js."
  node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
    fail "Node $(node --version) is too old: install Node 20.19 or later."
}

setup_npm() {
  node "$here/node_modules.mjs" "$repo" && return
  say "npm packages"
  (cd "$repo" && npm ci --no-audit --no-fund --loglevel=error) ||
    fail "npm ci failed: is the npm registry reachable? (npm config get registry)"
}

# Everything that the build reads; find's own conditions may follow.
sources() {
  local place places=()
  for place in "$repo"/{sidecar,cli,native,test,bench,operator,helm,tsconfig.json,package-lock.json}; do
    [ ! -e "$place" ] || places+=("$place")
  done
  find "${places[@]}" -type f "$@"
}

# The output of a source that went away would still run.
prune_outputs() {
  local output
  while read -r output; do
    output=${output#./}
    [ -e "$repo/${output%.js}.ts" ] || rm -f "$repo/build/$output" "$repo/build/$output.map"
  done < <(cd "$repo/build" && find . -path ./guest -prune -o -name '*.js' -print)
}

setup_build() {
  local stamp=$repo/build/.setup-stamp names
  names=$(sources -print | LC_ALL=C sort | sha256sum)
  if [ "$(cat "$stamp" 2>/dev/null)" = "$names" ] && [ -z "$(sources -newer "$stamp" -print -quit)" ]; then
    return
  fi
  say "building"
  touch "$stamp.part"
  prune_outputs
  (cd "$repo" && npm run -s build) || fail "the build failed; the lines above say where."
  # The stamp bears the time of the build's beginning: what was edited meanwhile is newer.
  echo "$names" >"$stamp.text" && touch -r "$stamp.part" "$stamp.text"
  mv "$stamp.text" "$stamp" && rm "$stamp.part"
}

require_machine
mkdir -p "$repo/build"
exec 9>"$repo/build/.setup-lock"
flock -n 9 || {
  say "another set-up runs in this checkout; waiting for it"
  flock -w 1800 9 || fail "the other set-up did not end within 30 minutes."
}
began=$SECONDS
setup_packages
setup_npm
setup_build
bash "$repo/test/guest/build.sh"
say "ready ($((SECONDS - began)) s)"
