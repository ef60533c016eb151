/** Fields of a decoded request. */
import type { PageRequest } from '../broker/page.ts';
import type { PlainMessage } from './protos.ts';

export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function pageRequest({ pageSize, pageToken }: PlainMessage): PageRequest {
  return { pageSize: typeof pageSize === 'number' ? pageSize : 0, pageToken: textOf(pageToken) };
}

export function pathsOf(updateMask: unknown): string[] {
  return (updateMask as { paths?: string[] } | undefined)?.paths ?? [];
}
