/** What somebody who has just started everything wants to copy. */
import type { Config } from './config.ts';
import { withoutPassword } from './mongodb.ts';
import type { Endpoints } from './stack.ts';
import type { Terminal } from './terminal.ts';

export function printEndpoints(
  { apiUrl, writerUrl, mongoDbUri, brokerHost }: Endpoints,
  { terminal, config, seconds }: { terminal: Terminal; config: Config; seconds: number },
): void {
  terminal.line();
  terminal.line(`Ready after ${seconds.toFixed(1)} s.`);
  terminal.line();
  terminal.entry('Dashboard', `${apiUrl}/`);
  terminal.entry('API', `${apiUrl}/api/data`);
  for (const path of ['/api/stats', '/readyz', '/metrics']) terminal.entry('', `${apiUrl}${path}`);
  const token = config.API_TOKEN === undefined ? '' : ' -H "authorization: Bearer $API_TOKEN"';
  const record = `-H 'content-type: application/json' -d '{"hello":"world"}' ${apiUrl}/api/records`;
  terminal.entry('', `curl${token} ${record}`);
  terminal.entry('Writer', `${writerUrl}/readyz`);
  terminal.entry('', `${writerUrl}/metrics`);
  terminal.entry('MongoDB', withoutPassword(mongoDbUri));
  const project = config.PUBSUB_PROJECT_ID;
  terminal.entry('Broker', `export PUBSUB_EMULATOR_HOST=${brokerHost} PUBSUB_PROJECT_ID=${project}`);
  terminal.entry('Logs', config.logFolder);
  terminal.line();
  terminal.line(`Ctrl-C stops everything; data stays in ${config.DATA_DIR}`);
}
