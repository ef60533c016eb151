#!/usr/bin/env bash
# Stands in for docker, k3d, kubectl, curl and sudo under their names: writes down what it was called with, and
# answers as a machine on which all goes well. The cluster, what is applied and the images' ids are files in
# $STATE. A call that begins with $FAILING fails, one that begins with $HANGING does not end by itself.
set -euo pipefail
call="${0##*/} $*"
# What Git Bash hands to a Windows program in place of an argument that looks like a path.
if [[ $(uname -s) == MINGW* && -z ${MSYS_NO_PATHCONV:-} ]]; then call=${call// \// C:/Program Files/Git/}; fi
echo "$call" >>"$STATE/calls"
if [ -n "${FAILING:-}" ] && [[ $call == $FAILING* ]]; then
  echo "as the test wants: $call" >&2
  exit 1
fi
if [ -n "${HANGING:-}" ] && [[ $call == $HANGING* ]]; then
  # No child that may be what a Ctrl-C meets: bash would go on after it.
  : >"$STATE/hangs"
  exec sleep 100
fi

case $call in
  'k3d cluster list'*) [ -e "$STATE/cluster" ] ;;
  'k3d cluster create'*) touch "$STATE/cluster" ;;
  'k3d cluster delete'*) rm -f "$STATE"/{cluster,applied,images} ;;
  'docker image inspect'*) echo "sha256:${IMAGE_ID:-1}" ;;
  'docker image ls'*) printf 'assessment.local/api:0.1.0\nassessment.local/writer:0.1.0\n' ;;
  'kubectl config get-contexts -o name') echo given ;;
  'kubectl config get-contexts given') ;;
  'kubectl config get-contexts '*) exit 1 ;;
  'kubectl kustomize'*)
    printf '      - image: assessment.local/api:0.1.0\n        image: assessment.local/writer:0.1.0\n'
    printf '        image: mongo:7.0\n        image: assessment.local/api:0.1.0\n'
    ;;
  *'get --raw /version') printf '{\n  "major": "1",\n  "minor": "%s"\n}' "${SERVER_MINOR:-31+}" ;;
  *'get deployment,statefulset --selector '*) if [ -e "$STATE/applied" ]; then echo deployment.apps/api; fi ;;
  *'get namespace '*) cat "$STATE/images" 2>/dev/null || exit 1 ;;
  *' apply -k '*) touch "$STATE/applied" ;;
  *' annotate namespace '*) printf '%s' "${call#*images=}" >"$STATE/images" ;;
  *'get job,deployment,statefulset -o name')
    printf '%s\n' job.batch/declare-topics deployment.apps/api statefulset.apps/pubsub-emulator
    ;;
  *'get pods -o wide') echo 'NAME READY STATUS' ;;
  *'get pods -o jsonpath='*) printf '%s\n' 'api-1 Running true' 'api-2 Running false' 'declare-1 Succeeded false' ;;
  *'get events --field-selector involvedObject.name=api-2'*) echo 'Warning BackOff of api-2' ;;
  *'logs api-2'*--previous) echo 'what api-2 said before' ;;
  *'logs api-2'*) echo 'what api-2 says' ;;
  'sudo '*) exec "$@" ;;
esac
