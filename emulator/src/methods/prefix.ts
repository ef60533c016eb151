/** The five bytes before a gRPC message, a flag and the length: responses are built with room for them. */

export const prefixBytes = 5;

export function writePrefix(buffer: Buffer, length: number): void {
  buffer[0] = 0;
  buffer.writeUInt32BE(length, 1);
}
