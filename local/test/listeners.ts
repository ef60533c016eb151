/** Where a process listens, as Linux tells it. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** A line of /proc/net/tcp: `sl local_address rem_address st … uid timeout inode`; addresses in hexadecimal. */
const listening = /^ *\d+: ([0-9A-F]+):[0-9A-F]{4} \S+ 0A (?:\S+ +){5}(\d+) /gm;

const loopback: ReadonlySet<string> = new Set([
  '0100007F', // 127.0.0.1
  '00000000000000000000000001000000', // ::1
  '0000000000000000FFFF00000100007F', // ::ffff:127.0.0.1
]);

/** True for each socket that only this machine reaches. */
export function listenersOf(pid: number): { isLoopback: boolean }[] {
  const folder = `/proc/${pid}/fd`;
  const sockets = new Set(readdirSync(folder).map((file) => readLink(`${folder}/${file}`)));
  return ['tcp', 'tcp6']
    .map((name) => readFileSync(`/proc/${pid}/net/${name}`, 'utf8'))
    .flatMap((table) => [...table.matchAll(listening)])
    .filter(([, , inode]) => sockets.has(`socket:[${inode}]`))
    .map(([, address = '']) => ({ isLoopback: loopback.has(address) }));
}

/** Undefined when it was closed in the meantime. */
function readLink(file: string): string | undefined {
  try {
    return readlinkSync(file);
  } catch {
    return undefined;
  }
}
