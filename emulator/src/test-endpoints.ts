/**
 * What tests ask of the emulator beside the API, under paths of its own:
 *
 *   POST   /_emulator/reset    all topics, subscriptions, snapshots and messages are gone; what was declared at the start
 *                              is there anew, streams and waiting pulls end with UNAVAILABLE
 *   PUT    /_emulator/faults   a JSON array of faults (faults.ts) in place of those that were
 *   GET    /_emulator/faults   those that are left
 *   DELETE /_emulator/faults
 *
 * A reset deletes messages that were confirmed to stay, and the port has no authentication. So they answer 403 unless
 * they were enabled at the start, and always to a web page, which could otherwise reach an emulator on its
 * reader's machine.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Faults } from './faults.ts';
import { StatusError } from './methods/status.ts';
import { sendError, sendJson } from './rest/answer.ts';
import { parseBody, withBody } from './rest/body.ts';

export interface TestEndpoints {
  answer(request: IncomingMessage, response: ServerResponse): Promise<void>;
}

export function createTestEndpoints(options: {
  isEnabled: boolean;
  faults: Faults;
  reset: () => Promise<void>;
}): TestEndpoints {
  const { isEnabled, faults, reset } = options;
  const actions: Record<string, (body: Buffer) => Promise<unknown>> = {
    'POST /_emulator/reset': async () => {
      await reset();
      return {};
    },
    'GET /_emulator/faults': async () => faults.list(),
    'PUT /_emulator/faults': async (body) => {
      faults.replace(parseBody(body));
      return faults.list();
    },
    'DELETE /_emulator/faults': async () => {
      faults.clear();
      return [];
    },
  };
  return {
    async answer(request, response) {
      try {
        const line = `${request.method} ${(request.url ?? '').split('?')[0]}`;
        const action = actions[line];
        if (!action) throw new StatusError('NOT_FOUND', `There is no ${line}.`);
        if (!isEnabled) throw notEnabled();
        if (request.headers.origin)
          throw new StatusError('PERMISSION_DENIED', 'A web page may not ask for this.');
        const answer = await withBody(request, action);
        sendJson(response, answer);
      } catch (error) {
        sendError(response, error);
      }
    },
  };
}

function notEnabled(): StatusError {
  return new StatusError(
    'PERMISSION_DENIED',
    'This is for tests, and deletes or refuses what is confirmed elsewhere. Start the emulator with --test-endpoints (EMULATOR_TEST_ENDPOINTS=true) to allow it.',
  );
}
