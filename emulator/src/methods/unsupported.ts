/** What the service has and this emulator does not: refused by name, so that nobody looks for a fault of their own. */
import type { Broker } from '../broker/broker.ts';
import { textOf } from './fields.ts';
import type { UnaryMethod } from './method.ts';
import { pathOf, plainMethods } from './protos.ts';
import { StatusError } from './status.ts';

/** google.pubsub.v1.SchemaService */
const schemaMethods = [
  'CreateSchema',
  'GetSchema',
  'ListSchemaRevisions',
  'CommitSchema',
  'RollbackSchema',
  'DeleteSchemaRevision',
  'DeleteSchema',
  'ValidateSchema',
  'ValidateMessage',
];

/** google.iam.v1.IAMPolicy, which is not among the protos of Google's client. */
export const iamMethods = ['SetIamPolicy', 'GetIamPolicy', 'TestIamPermissions'] as const;

export function iamPath(method: (typeof iamMethods)[number]): string {
  return `/google.iam.v1.IAMPolicy/${method}`;
}

export function unsupportedMethods({ topics }: Broker): [path: string, UnaryMethod][] {
  const schemas = refusal('Schemas are not supported by this emulator. Use a topic without schema_settings.');
  const iam = refusal('IAM is not supported by this emulator: every caller may do everything.');
  return [
    // The one that can be answered: there are none. Programs that clean up after themselves begin with it.
    ...plainMethods('SchemaService', {
      ListSchemas: ({ parent }) => {
        topics.checkProject(textOf(parent));
        return {};
      },
    }),
    ...schemaMethods.map((name): [string, UnaryMethod] => [pathOf('SchemaService', name), schemas]),
    ...iamMethods.map((name): [string, UnaryMethod] => [iamPath(name), iam]),
  ];
}

function refusal(text: string): UnaryMethod {
  return () => {
    throw new StatusError('UNIMPLEMENTED', text);
  };
}
