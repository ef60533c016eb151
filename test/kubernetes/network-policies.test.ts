/** Who reaches whom by the NetworkPolicies, computed as they are specified; no cluster of the tests enforces them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containerOf, type Fields, find, manifests, readManifests, workloads } from './manifests.ts';

interface Pod {
  name: string;
  namespace: string;
  labels: Record<string, string>;
  /** Named ports of its container. */
  ports: { name?: string; containerPort: number }[];
}

const ours: Pod[] = workloads.map((workload) => ({
  name: workload.metadata.name,
  namespace: 'assessment',
  labels: workload.spec.template.metadata.labels,
  ports: containerOf(workload).ports ?? [],
}));
const kubeSystem = { namespace: 'kube-system', ports: [] };
const others: Pod[] = [
  { ...kubeSystem, name: 'traefik', labels: { 'app.kubernetes.io/name': 'traefik' } },
  { ...kubeSystem, name: 'dns', labels: { 'k8s-app': 'kube-dns' } },
  { name: 'stranger', namespace: 'assessment', labels: {}, ports: [] },
  { name: 'api elsewhere', namespace: 'default', labels: { 'app.kubernetes.io/name': 'api' }, ports: [] },
];
const policies = manifests.filter(({ kind }) => kind === 'NetworkPolicy').map(({ spec }) => spec as Fields);
const proof = {
  pods: readManifests('test/kubernetes/proof/load-pod.yaml').map(({ metadata }) => ({
    name: metadata.name,
    namespace: 'assessment',
    labels: metadata.labels ?? {},
    ports: [],
  })),
  policies: readManifests('test/kubernetes/proof/network-policies.yaml').map(({ spec }) => spec as Fields),
};

/** https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/#labelselector-v1-meta */
function matches(selector: Fields, labels: Record<string, string>): boolean {
  const { matchLabels = {}, matchExpressions = [], ...unknown } = selector;
  assert.deepEqual(unknown, {});
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values }: Fields) => {
      assert.equal(operator, 'In');
      return values.includes(labels[key]);
    })
  );
}

function isPeer(peer: Fields, pod: Pod): boolean {
  const { podSelector = {}, namespaceSelector, ...unknown } = peer;
  assert.deepEqual(unknown, {});
  const isInNamespace = namespaceSelector
    ? matches(namespaceSelector, { 'kubernetes.io/metadata.name': pod.namespace })
    : pod.namespace === 'assessment';
  return isInNamespace && matches(podSelector, pod.labels);
}

/** One direction: free for pods that no policy selects, else what any of those allows. */
function isAllowed(
  policies: Fields[],
  direction: 'Ingress' | 'Egress',
  pod: Pod,
  peer: Pod,
  to: Pod,
  port: number,
): boolean {
  if (pod.namespace !== 'assessment') return true;
  const selecting = policies.filter(
    ({ podSelector, policyTypes }) => policyTypes.includes(direction) && matches(podSelector, pod.labels),
  );
  if (selecting.length === 0) return true;
  const [rulesKey, peersKey] = direction === 'Ingress' ? ['ingress', 'from'] : ['egress', 'to'];
  const number = (wanted: string | number) =>
    to.ports.find(({ name }) => name === wanted)?.containerPort ?? wanted;
  return selecting.some((policy) =>
    (policy[rulesKey] ?? []).some(
      (rule: Fields) =>
        rule[peersKey].some((one: Fields) => isPeer(one, peer)) &&
        rule.ports.some((one: Fields) => number(one.port) === port),
    ),
  );
}

function whoReaches(name: string, port: number, more: typeof proof = { pods: [], policies: [] }): string[] {
  const pods = [...ours, ...others, ...more.pods];
  const all = [...policies, ...more.policies];
  const to = pods.find((pod) => pod.name === name);
  assert.ok(to);
  return pods
    .filter((from) => from.name !== name && from.name !== 'dns')
    .filter(
      (from) => isAllowed(all, 'Egress', from, to, to, port) && isAllowed(all, 'Ingress', to, from, to, port),
    )
    .map((from) => from.name)
    .sort();
}

test('only api and writer reach MongoDB', () => {
  assert.deepEqual(whoReaches('mongo', 27017), ['api', 'writer']);
  assert.deepEqual(whoReaches('mongo', 22), []);
});

test('only api, writer and the Job that declares topics reach the emulator', () => {
  assert.deepEqual(whoReaches('pubsub-emulator', 8085), ['api', 'declare-topics', 'writer']);
});

test('only the ingress controller reaches api, nobody reaches writer', () => {
  assert.deepEqual(whoReaches('api', 3000), ['traefik']);
  assert.deepEqual(whoReaches('writer', 3001), []);
});

test('only pods that connect by name may ask for names', () => {
  assert.deepEqual(whoReaches('dns', 53), ['api', 'api elsewhere', 'declare-topics', 'traefik', 'writer']);
});

test("the proof's load reaches api, MongoDB and names, and lets nobody else in", () => {
  assert.deepEqual(whoReaches('api', 3000, proof), ['load', 'traefik']);
  assert.deepEqual(whoReaches('mongo', 27017, proof), ['api', 'load', 'writer']);
  assert.deepEqual(whoReaches('pubsub-emulator', 8085, proof), ['api', 'declare-topics', 'writer']);
  assert.ok(whoReaches('dns', 53, proof).includes('load'));
  assert.deepEqual(whoReaches('load', 80, proof), []);
});

test('a Service leads to the pods of its name', () => {
  for (const name of ['api', 'mongo', 'pubsub-emulator']) {
    const { selector, ports } = find('Service', name).spec;
    const reached = ours.filter(({ labels }) => matches({ matchLabels: selector }, labels));
    assert.deepEqual(
      reached.map((pod) => pod.name),
      [name],
    );
    const [{ targetPort }] = ports;
    assert.ok(
      reached[0]?.ports.some((port) => port.name === targetPort || port.containerPort === targetPort),
    );
  }
});

test('with monitoring, Prometheus reads the metrics of each of ours, and api those of api and writer', () => {
  const file = 'k8s/components/monitoring/network-policies.yaml';
  const labels = { 'app.kubernetes.io/name': 'prometheus' };
  const monitoring = {
    pods: [{ name: 'prometheus', namespace: 'monitoring', labels, ports: [] }],
    policies: readManifests(file).map(({ spec }) => spec as Fields),
  };
  assert.deepEqual(whoReaches('api', 3000, monitoring), ['prometheus', 'traefik']);
  assert.deepEqual(whoReaches('writer', 3001, monitoring), ['api', 'prometheus']);
  assert.deepEqual(whoReaches('pubsub-emulator', 8085, monitoring), [
    ...['api', 'declare-topics', 'prometheus', 'writer'],
  ]);
  assert.deepEqual(whoReaches('mongo', 27017, monitoring), ['api', 'writer']);
});
