#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds Lockstep's images with what is there: buildah, podman or docker.
#   images/build.sh [--prefix REGISTRY/FOLDER] [--tag TAG] [--push] [operator|sidecar|redis]...
# Without names all three: localhost/lockstep/{operator,sidecar,redis}:dev.
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() {
  echo "images/build.sh: $*" >&2
  exit 2
}

prefix=localhost/lockstep
tag=dev
push=''
images=()
while [ $# -gt 0 ]; do
  case $1 in
    --prefix | --tag)
      [ -n "${2:-}" ] || fail "$1 needs a value."
      printf -v "${1#--}" %s "$2"
      shift
      ;;
    --push) push=yes ;;
    operator | sidecar | redis) images+=("$1") ;;
    -h | --help)
      sed -n '3,5s/^# \?//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *) fail "'$1' is no image of Lockstep: operator, sidecar, redis. See --help." ;;
  esac
  shift
done
[ "${#images[@]}" -gt 0 ] || images=(operator sidecar redis)

# chroot isolation needs no rights beyond those of the build itself: it works in a container, too.
if command -v buildah >/dev/null; then
  tool=buildah
  build=(buildah bud --isolation chroot --layers)
elif command -v podman >/dev/null; then
  tool=podman
  build=(podman build --layers)
elif command -v docker >/dev/null; then
  tool=docker
  build=(docker build)
  export DOCKER_BUILDKIT=1
else
  fail "neither buildah nor podman nor docker is here: install one of them (Debian: apt-get install buildah)."
fi

for image in "${images[@]}"; do
  name=$prefix/$image:$tag
  echo "images/build.sh: $name"
  "${build[@]}" --target "$image" --tag "$name" --file "$repo/images/Dockerfile" "$repo"
  [ -z "$push" ] || "$tool" push "$name"
done
