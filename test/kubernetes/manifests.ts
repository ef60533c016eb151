/** The manifests under k8s/ as parsed objects, and what tests ask of them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';

// biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever the manifest has
export type Fields = Record<string, any>;

export interface Manifest extends Fields {
  kind: string;
  metadata: { name: string; labels?: Record<string, string> };
}

export const root = join(import.meta.dirname, '../..');

/** Everything that `kubectl apply -k k8s` applies, before any component. */
export const manifests: Manifest[] = parse(readFileSync(join(root, 'k8s/kustomization.yaml'), 'utf8'))
  .resources.map((file: string) => join('k8s', file))
  .flatMap(readManifests);

/** The objects of one file, by its path in the repository. */
export function readManifests(file: string): Manifest[] {
  return parseAllDocuments(readFileSync(join(root, file), 'utf8')).map((document) => document.toJS());
}

export function find(kind: string, name: string): Manifest {
  const found = manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  if (!found) throw new Error(`there is no ${kind} ${name} under k8s/`);
  return found;
}

/** Deployments, StatefulSets and Jobs. */
export const workloads = manifests.filter(({ spec }) => spec?.template?.spec?.containers);

/** The only container of a workload. */
export function containerOf({ spec }: Manifest): Fields {
  return spec.template.spec.containers[0];
}

/** What a workload's process finds in its environment. */
export function environmentOf(workload: Manifest): Record<string, string> {
  const container = containerOf(workload);
  // A Secret is optional and not part of the manifests.
  const fromMaps = (container.envFrom ?? []).flatMap(({ configMapRef }: Fields) =>
    configMapRef ? find('ConfigMap', configMapRef.name).data : [],
  );
  const own = (container.env ?? []).map(({ name, value, valueFrom }: Fields) => {
    const key = valueFrom?.configMapKeyRef;
    return [name, key ? find('ConfigMap', key.name).data[key.key] : value];
  });
  return Object.assign({}, ...fromMaps, Object.fromEntries(own));
}
