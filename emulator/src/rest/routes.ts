/**
 * Which method an HTTP request calls: the `google.api.http` annotations of the protos, compiled once. A variable holds
 * one segment for each `*`: https://github.com/googleapis/googleapis/blob/master/google/api/http.proto
 */
import type { Method, Type } from 'protobufjs';
import { methodsOf, pathOf } from '../methods/protos.ts';
import { iamMethods, iamPath } from '../methods/unsupported.ts';

export interface Route {
  /** Of the gRPC method. */
  path: string;
  verb: string;
  pattern: RegExp;
  /** The request's fields that are in the path, `topic.name` within another. */
  variables: string[];
  /** The request's field that the body is; `*`: the whole request; undefined: there is no body. */
  body: string | undefined;
  /** undefined: the request is not read, since the method only refuses it. */
  types: { request: Type; response: Type } | undefined;
}

export interface Match {
  route: Route;
  /** By field. */
  bindings: [field: string, value: string][];
}

interface HttpRule {
  [verb: string]: string;
}

const verbs = ['get', 'put', 'post', 'delete', 'patch'];

/** google/pubsub/v1/pubsub_v1.yaml, which has the rules of IAM. */
const iamTemplates = ['topics', 'subscriptions', 'snapshots', 'schemas'].map(
  (collection) => `/v1/{resource=projects/*/${collection}/*}`,
);

export function createRoutes(): Route[] {
  const routes = ['Publisher', 'Subscriber', 'SchemaService'].flatMap((service) =>
    methodsOf(service).flatMap((method) => routesOf(service, method)),
  );
  for (const name of iamMethods) {
    const custom = name[0]?.toLowerCase() + name.slice(1);
    const verb = name === 'GetIamPolicy' ? 'GET' : 'POST';
    for (const template of iamTemplates) {
      routes.push({
        path: iamPath(name),
        verb,
        ...compile(`${template}:${custom}`),
        body: '*',
        types: undefined,
      });
    }
  }
  return routes;
}

export function findRoute(routes: readonly Route[], verb: string, path: string): Match | undefined {
  for (const route of routes) {
    if (route.verb !== verb) continue;
    const match = route.pattern.exec(path);
    if (!match) continue;
    return { route, bindings: route.variables.map((field, at) => [field, match[at + 1] ?? '']) };
  }
  return undefined;
}

function routesOf(service: string, method: Method): Route[] {
  const options: Record<string, HttpRule>[] = method.parsedOptions ?? [];
  const { resolvedRequestType: request, resolvedResponseType: response } = method;
  if (!request || !response) throw new RangeError(`${method.name} is not resolved`);
  return options.flatMap((option) => {
    const { body, ...rule } = option['(google.api.http)'] ?? {};
    return Object.entries(rule).map(([verb, template]) => {
      if (!verbs.includes(verb))
        throw new RangeError(`${method.name} has an HTTP rule that is not read: ${verb}`);
      const types = { request, response };
      return {
        path: pathOf(service, method.name),
        verb: verb.toUpperCase(),
        ...compile(template),
        body,
        types,
      };
    });
  });
}

/** `topics/orders:publish` is no topic. */
const withoutCustom = '(?!.*:[^/]*$)';

function compile(template: string): Pick<Route, 'pattern' | 'variables'> {
  const variables: string[] = [];
  const source = template.replace(/\{([^=}]+)=([^}]+)\}/g, (_, field: string, segments: string) => {
    variables.push(field);
    return `(${segments.replaceAll('*', '[^/]+')})`;
  });
  return { pattern: new RegExp(`^${template.includes(':') ? '' : withoutCustom}${source}$`), variables };
}
