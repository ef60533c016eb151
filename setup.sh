#!/usr/bin/env bash
# The whole system on Kubernetes, from nothing to ready. Each step looks at what is there already, so that
# running it again does no harm and goes on where the last run ended. Runs in bash 3.2, which macOS has.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. k8s/hosts-entry.sh

cluster=assessment
namespace=assessment
context=${KUBE_CONTEXT:-}
load_command=${IMAGE_LOAD_COMMAND:-}
# The first start pulls MongoDB's image, 250 MB.
wait_seconds=${WAIT_SECONDS:-600}
# preStop `sleep` in k8s/api.yaml.
server_minor_min=30
kustomization=k8s
is_build_wanted=true
is_yes=false

usage() {
  cat <<'TEXT'
Starts the whole system on Kubernetes and waits until it is ready. Running it again does no harm.

  ./setup.sh                   in a k3d cluster `assessment` with 2 agents, made if it is not there,
                               its port 80 on this machine's port 80
  ./setup.sh --context NAME    in the cluster of that kubeconfig context, without k3d

  --context NAME         a context of your kubeconfig (or KUBE_CONTEXT=NAME)
  --kustomization DIR    applies this folder, which builds on k8s/, instead of k8s/ itself
  --no-build             neither builds nor loads images: the cluster has them
  --yes                  writes `127.0.0.1 assessment.local` into the hosts file without asking; k3d alone
  --help                 this text

  IMAGE_LOAD_COMMAND    with --context: brings an image from docker into the cluster; called once for each with
                        its name as the last argument. kind: 'kind load docker-image';
                        minikube: 'minikube image load'
  DOCKER_BUILD_OPTIONS  more options for docker build, such as '--network host'
  WAIT_SECONDS          how long all parts together may take to get ready, default 600
  HOSTS_FILE            default /etc/hosts

./cleanup.sh undoes it. What else there is to know is in k8s/README.md.
TEXT
}

info() { printf '[INFO]  %s\n' "$*"; }
ok() { printf '[OK]    %s\n' "$*"; }
warn() { printf '[WARN]  %s\n' "$*" >&2; }
error() { printf '[ERROR] %s\n' "$*" >&2; }
k() { kubectl --context "$context" --namespace "$namespace" "$@"; }

is_cluster_half_made=false
is_applied=false

fail() {
  error "$@"
  if $is_applied; then show_state; fi
  exit 1
}

# The pods, and of each that is not ready what happened to it and what it said last.
show_state() {
  local pod
  {
    echo
    k get pods -o wide || return 0
    for pod in $(k get pods -o jsonpath='{range .items[*]}{.metadata.name} {.status.phase}{range .status.containerStatuses[*]} {.ready}{end}{"\n"}{end}' |
      awk '$2 != "Succeeded" && ($2 != "Running" || / false/) { print $1 }'); do
      printf '\n--- %s: events\n' "$pod"
      k get events --field-selector "involvedObject.name=$pod" --sort-by=.lastTimestamp \
        -o jsonpath='{range .items[*]}{.type}{"\t"}{.reason}{"\t"}{.message}{"\n"}{end}' | tail -n 10
      printf -- '--- %s: log\n' "$pod"
      k logs "$pod" --all-containers --tail=20 || true
      # Of the container that ended before this one; the others have none.
      k logs "$pod" --all-containers --tail=20 --previous 2>/dev/null || true
    done
  } >&2
}

interrupted() {
  trap '' INT TERM
  echo >&2
  if $is_cluster_half_made; then
    warn 'Interrupted: taking the half-made cluster away'
    k3d cluster delete "$cluster" >&2 || true
  else
    warn 'Interrupted. ./setup.sh goes on from here, ./cleanup.sh undoes what is done.'
  fi
  exit 130
}
trap interrupted INT TERM

# How to get a tool on this system, in one line.
how_to_get() {
  local system
  system=$(uname -s)
  if [ "$system" = Linux ] && command -v pacman >/dev/null; then system=Arch; fi
  case "$system $1" in
    Linux\ docker) echo 'https://docs.docker.com/engine/install/ (or: curl -fsSL https://get.docker.com | sh)' ;;
    Arch\ docker) echo 'sudo pacman -S docker && sudo systemctl enable --now docker' ;;
    Darwin\ docker) echo 'brew install --cask docker-desktop, then start Docker' ;;
    *\ docker) echo 'winget install Docker.DockerDesktop, then start it' ;;
    Linux\ k3d | Arch\ k3d) echo 'curl -s https://raw.githubusercontent.com/k3d-io/k3d/main/install.sh | bash' ;;
    Darwin\ k3d) echo 'brew install k3d' ;;
    *\ k3d) echo 'winget install k3d (or: choco install k3d)' ;;
    Linux\ kubectl) echo 'https://kubernetes.io/docs/tasks/tools/install-kubectl-linux/' ;;
    Arch\ kubectl) echo 'sudo pacman -S kubectl' ;;
    Darwin\ kubectl) echo 'brew install kubectl' ;;
    *\ kubectl) echo 'winget install Kubernetes.kubectl' ;;
  esac
}

check_tools() {
  local tool tools=kubectl missing=0
  if $is_build_wanted; then tools="docker $tools"; fi
  if [ -z "$context" ]; then tools="$tools k3d"; fi
  for tool in $tools; do
    command -v "$tool" >/dev/null && continue
    error "$tool is missing. Get it by: $(how_to_get "$tool")"
    missing=$((missing + 1))
  done
  [ "$missing" = 0 ] || fail 'k8s/README.md says more about each system. Run ./setup.sh again afterwards.'
  if ! $is_build_wanted; then return; fi
  if ! docker info >/dev/null 2>&1; then
    docker info 2>&1 | tail -n 2 >&2 || true
    fail "docker is here, but its daemon does not answer: start Docker Desktop, or: sudo systemctl start docker. \
For the right to use it: sudo usermod -aG docker \"\$USER\", and log in again."
  fi
  ok "Here: $tools"
}

check_options() {
  [ -n "$context" ] || return 0
  kubectl config get-contexts "$context" >/dev/null 2>&1 ||
    fail "The kubeconfig has no context $context. It has: $(kubectl config get-contexts -o name | tr '\n' ' ')"
  if $is_build_wanted && [ -z "$load_command" ]; then
    fail "IMAGE_LOAD_COMMAND is not set: how do images get into the cluster of $context? --help has examples. \
If it has them already: --no-build. For images in a registry see k8s/README.md."
  fi
}

start_cluster() {
  if k3d cluster list "$cluster" >/dev/null 2>&1; then
    info "k3d cluster $cluster is there already"
    k3d cluster start "$cluster" --wait --timeout 180s || fail "k3d could not start the cluster $cluster."
    k3d kubeconfig merge "$cluster" --kubeconfig-merge-default --kubeconfig-switch-context >/dev/null ||
      fail "k3d could not write the kubeconfig of $cluster."
  else
    info "Creating k3d cluster $cluster with 2 agents"
    is_cluster_half_made=true
    if ! k3d cluster create "$cluster" --agents 2 --port '80:80@loadbalancer' --wait --timeout 300s; then
      k3d cluster delete "$cluster" >/dev/null 2>&1 || true
      fail 'k3d could not create the cluster. What it said is above; a common reason is that something else has port 80.'
    fi
    is_cluster_half_made=false
  fi
  context=k3d-$cluster
}

check_cluster() {
  local version minor
  # In Git Bash /version would become a Windows path.
  version=$(MSYS_NO_PATHCONV=1 k get --raw /version) || fail "The cluster of context $context does not answer."
  minor=$(printf '%s' "$version" | sed -n 's/.*"minor": *"\([0-9]*\).*/\1/p')
  [ "${minor:-0}" -ge "$server_minor_min" ] ||
    fail "The cluster of context $context runs Kubernetes 1.${minor:-?}; 1.$server_minor_min or later is needed."
  ok "Cluster: context $context, Kubernetes 1.$minor"
}

# The project's own images, as the manifests name them, one a line.
list_images() {
  kubectl kustomize k8s | sed -n 's/^ *\(- \)\{0,1\}image: *\(assessment\.local\/[^ ]*\).*/\2/p' | sort -u
}

# The last part of an image's name is its target in the Dockerfile.
build_images() {
  local image target
  for image in $images; do
    target=${image##*/}
    info "Building $image"
    # shellcheck disable=SC2086 # options, split at blanks
    docker build ${DOCKER_BUILD_OPTIONS:-} --target "${target%%:*}" --tag "$image" . ||
      fail "docker could not build $image."
  done
  ok 'Images built'
}

load_images() {
  local image
  if [ -z "$load_command" ]; then
    info "Importing images into $cluster"
    # shellcheck disable=SC2086 # names without blanks
    k3d image import $images --cluster "$cluster" || fail 'k3d could not import the images.'
  else
    for image in $images; do
      info "Loading $image"
      # shellcheck disable=SC2086 # a command and its arguments
      $load_command "$image" || fail "IMAGE_LOAD_COMMAND ($load_command) could not load $image."
    done
  fi
  ok 'Images are in the cluster'
}

# Their ids in docker, so that a later run can tell whether pods run older ones under the same names.
image_ids() {
  local image
  for image in $images; do docker image inspect --format '{{.Id}}' "$image"; done | tr '\n' ' '
}

ours='app.kubernetes.io/part-of=assessment'

apply_manifests() {
  local there before ids
  there=$(k get deployment,statefulset --selector "$ours" -o name 2>/dev/null || true)
  before=$(k get namespace "$namespace" -o jsonpath='{.metadata.annotations.assessment\.local/images}' 2>/dev/null || true)
  info "Applying $kustomization"
  is_applied=true
  # A Job cannot be changed, and running it again declares what is missing.
  k delete job declare-topics --ignore-not-found >/dev/null 2>&1 || true
  kubectl --context "$context" apply -k "$kustomization" || fail "kubectl could not apply $kustomization."
  if $is_build_wanted; then
    ids=$(image_ids)
    if [ -n "$there" ] && [ "$ids" != "$before" ]; then
      info 'Images have changed: restarting the pods that run them'
      k rollout restart deployment,statefulset --selector "$ours" || fail 'kubectl could not restart the pods.'
    fi
    # After the restart, so that one that was interrupted is made up for.
    k annotate namespace "$namespace" --overwrite "assessment.local/images=$ids" >/dev/null ||
      fail 'kubectl could not write down which images run.'
  fi
  ok 'Manifests applied'
}

wait_until_ready() {
  local workload workloads left deadline=$((SECONDS + wait_seconds))
  # The Job first: it is deleted ten minutes after its end.
  workloads=$(k get job,deployment,statefulset -o name) || fail 'kubectl does not tell what has to be ready.'
  for workload in $workloads; do
    info "Waiting for $workload"
    # 0 would mean without end.
    left=$((deadline > SECONDS ? deadline - SECONDS : 1))
    case $workload in
      job*) k wait --for=condition=complete "$workload" --timeout "${left}s" ;;
      *) k rollout status "$workload" --timeout "${left}s" ;;
    esac || fail "$workload is not ready after $wait_seconds s. Its pods:"
  done
  ok 'All deployments are ready!'
}

# k3s installs Traefik by itself, and may still be at it.
wait_for_ingress() {
  local deadline=$((SECONDS + wait_seconds))
  command -v curl >/dev/null || return 0
  info 'Waiting for the ingress at port 80'
  until curl -fsS -o /dev/null --max-time 5 -H 'Host: assessment.local' http://127.0.0.1/readyz 2>/dev/null; do
    [ "$SECONDS" -lt "$deadline" ] || fail "http://assessment.local/readyz does not answer at port 80 after $wait_seconds s."
    sleep 1
  done
}

offer_hosts_entry() {
  local address answer=n
  address=$(hosts_address)
  case $address in
    127.0.0.1) return ;;
    ?*) warn "$hosts_file has assessment.local at $address. It has to be: $hosts_line" && return ;;
  esac
  if $is_yes; then
    answer=y
  elif is_terminal; then
    read -r -p "Add \"$hosts_line\" to $hosts_file? [y/N] " answer || true
  fi
  case $answer in
    [yY]*) if add_hosts_entry; then ok "$hosts_file has assessment.local"; return; fi ;;
  esac
  warn "assessment.local is not in $hosts_file. Add it by: $(hosts_add_command)"
}

say_ready() {
  local path
  printf '\nAssessment Environment Ready!\n\n'
  for path in /api/data /api/stats /healthz /readyz; do echo "  http://assessment.local$path"; done
  if ! $is_k3d; then
    printf '\nWhere no ingress controller answers to that name:\n'
    echo "  kubectl --context $context --namespace $namespace port-forward service/api 8080:80"
  fi
}

while [ $# -gt 0 ]; do
  case $1 in
    --context) context=${2:?--context wants a name}; shift ;;
    --context=?*) context=${1#*=} ;;
    --kustomization) kustomization=${2:?--kustomization wants a folder}; shift ;;
    --no-build) is_build_wanted=false ;;
    --yes) is_yes=true ;;
    --help | -h) usage; exit 0 ;;
    *) error "$1: no such option; --help lists them"; exit 2 ;;
  esac
  shift
done
is_k3d=false
if [ -z "$context" ]; then is_k3d=true load_command=''; fi
if $is_yes && ! $is_k3d; then
  error '--yes: this machine is the way into a k3d cluster alone; with a context the hosts file stays as it is'
  exit 2
fi

check_tools
check_options
if $is_k3d; then start_cluster; fi
check_cluster
if $is_build_wanted; then
  images=$(list_images) || fail 'kubectl could not read k8s/.'
  build_images
  load_images
fi
apply_manifests
wait_until_ready
if $is_k3d; then wait_for_ingress && offer_hosts_entry; fi
say_ready
