#!/usr/bin/env bash
# Undoes setup.sh: the cluster or what is in it, the images, the hosts entry. Running it again does no harm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. k8s/hosts-entry.sh

cluster=assessment
namespace=assessment
context=${KUBE_CONTEXT:-}
is_yes=false

usage() {
  cat <<'TEXT'
Undoes ./setup.sh, with all data: documents, and what the broker still holds.

  ./cleanup.sh                   deletes the k3d cluster `assessment`
  ./cleanup.sh --context NAME    deletes the namespace `assessment` from the cluster of that kubeconfig context,
                                 and leaves the cluster (and images in it) alone

Both delete the images from docker and take `127.0.0.1 assessment.local` out of the hosts file.

  --context NAME   a context of your kubeconfig (or KUBE_CONTEXT=NAME)
  --yes            does not ask before it changes the hosts file
  --help           this text

  HOSTS_FILE       default /etc/hosts
TEXT
}

info() { printf '[INFO]  %s\n' "$*"; }
ok() { printf '[OK]    %s\n' "$*"; }
warn() { printf '[WARN]  %s\n' "$*" >&2; }
error() { printf '[ERROR] %s\n' "$*" >&2; }
fail() {
  error "$@"
  exit 1
}

delete_cluster() {
  if ! command -v k3d >/dev/null; then
    warn 'k3d is missing, so there is no cluster to delete'
  elif ! docker info >/dev/null 2>&1; then
    # k3d could not tell a cluster that is there from none.
    fail 'docker does not answer. Start it, and run this again.'
  elif k3d cluster list "$cluster" >/dev/null 2>&1; then
    k3d cluster delete "$cluster" || fail "k3d could not delete the cluster $cluster."
    ok "k3d cluster $cluster deleted"
  else
    ok "There is no k3d cluster $cluster"
  fi
}

delete_namespace() {
  command -v kubectl >/dev/null || fail 'kubectl is missing.'
  info "Deleting the namespace $namespace; its pods have up to 30 s to end"
  kubectl --context "$context" delete namespace "$namespace" --ignore-not-found --timeout 180s ||
    fail "kubectl could not delete the namespace $namespace."
  ok "The cluster of context $context has no namespace $namespace"
}

delete_images() {
  local image images
  command -v docker >/dev/null || return 0
  images=$(docker image ls --format '{{.Repository}}:{{.Tag}}' --filter 'reference=assessment.local/*' 2>/dev/null) || {
    warn 'docker does not answer, and keeps its images'
    return 0
  }
  # By name: what has another name as well, such as one in a registry, keeps it.
  for image in $images; do
    docker image rm --force "$image" >/dev/null || warn "docker keeps the image $image"
  done
  ok 'Images deleted from docker'
}

delete_hosts_entry() {
  local answer=n
  case $(hosts_address) in
    127.0.0.1) ;;
    *) return ;;
  esac
  if $is_yes; then
    answer=y
  elif is_terminal; then
    read -r -p "Take \"$hosts_line\" out of $hosts_file? [y/N] " answer || true
  fi
  case $answer in
    [yY]*)
      remove_hosts_entry || true
      if [ -z "$(hosts_address)" ]; then ok "$hosts_file has no assessment.local"; return; fi
      ;;
  esac
  warn "assessment.local is still in $hosts_file. Take it out by: $(hosts_remove_command)"
}

while [ $# -gt 0 ]; do
  case $1 in
    --context) context=${2:?--context wants a name}; shift ;;
    --context=?*) context=${1#*=} ;;
    --yes) is_yes=true ;;
    --help | -h) usage; exit 0 ;;
    *) error "$1: no such option; --help lists them"; exit 2 ;;
  esac
  shift
done

if [ -z "$context" ]; then delete_cluster; else delete_namespace; fi
delete_images
delete_hosts_entry
