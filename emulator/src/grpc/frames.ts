/**
 * gRPC messages in the DATA of an HTTP/2 stream: a flag, a length, the bytes. What arrives is copied once, into a
 * buffer of its length, and large buffers are used again: grpc-js, which keeps the pieces and joins them, cost 11 µs
 * a message of 3,000 bytes at 1,000 a publish before anything was done with it, this about 4 µs.
 */
import { gunzipSync, inflateSync } from 'node:zlib';
import { prefixBytes, writePrefix } from '../methods/prefix.ts';
import { StatusError } from '../methods/status.ts';

/** Above the 10 MiB of a publish, so that one a little over it gets the broker's answer. */
export const messageBytesMax = 16 * 1024 * 1024;

/**
 * Messages that were announced and are not read yet, over all gRPC calls: by the lengths that they announce, and by
 * what they are when they are decompressed. 20 publishes of the usual 3 MB, a quarter of the memory of the smallest
 * machine that this is made for; one more is refused.
 */
const receivingBytesMax = 64 * 1024 * 1024;
let receivingBytes = 0;

/** Smaller ones come from Node's own pool. */
const pooledBytesMin = 64 * 1024;
const poolBytesMax = 16 * 1024 * 1024;
/** Lengths are rounded up, so that a buffer fits the next message too. */
const roundingBytes = 256 * 1024;
const pool: Buffer[] = [];
let poolBytes = 0;
/** Which memory is the pool's: Node's own slabs are not to be given to it. */
const pooledMemory = new WeakSet<ArrayBufferLike>();

function allocate(bytes: number): Buffer {
  if (bytes < pooledBytesMin) return Buffer.allocUnsafe(bytes);
  const at = pool.findIndex((buffer) => buffer.length >= bytes);
  const [pooled] = at < 0 ? [] : pool.splice(at, 1);
  if (pooled) {
    poolBytes -= pooled.length;
    return pooled;
  }
  const buffer = Buffer.allocUnsafeSlow(Math.ceil(bytes / roundingBytes) * roundingBytes);
  pooledMemory.add(buffer.buffer);
  return buffer;
}

export class MessageReader {
  #encoding: string;
  #onMessage: (message: Buffer) => void;
  #prefix = Buffer.alloc(prefixBytes);
  #prefixLength = 0;
  #body: Buffer | undefined;
  #bodyLength = 0;
  #received = 0;
  /** Its part of `receivingBytes`. */
  #countedBytes = 0;
  #isClosed = false;

  /** `onMessage` has the bytes until `releaseMessage`; they are counted until `release` or `close`. */
  constructor(encoding: string, onMessage: (message: Buffer) => void) {
    this.#encoding = encoding;
    this.#onMessage = onMessage;
  }

  /** @throws StatusError for a message that is too long, has no room or cannot be decompressed; what `onMessage` throws. */
  write(data: Buffer): void {
    let at = 0;
    while (!this.#isClosed && (at < data.length || (this.#body && this.#received === this.#bodyLength))) {
      if (!this.#body) {
        at += this.#readPrefix(data, at);
        continue;
      }
      const count = Math.min(data.length - at, this.#bodyLength - this.#received);
      data.copy(this.#body, this.#received, at, at + count);
      this.#received += count;
      at += count;
      if (this.#received < this.#bodyLength) continue;
      const message = this.#body.subarray(0, this.#bodyLength);
      this.#body = undefined;
      this.#onMessage(this.#prefix[0] === 0 ? message : this.#decompress(message));
    }
  }

  #readPrefix(data: Buffer, at: number): number {
    const count = Math.min(prefixBytes - this.#prefixLength, data.length - at);
    data.copy(this.#prefix, this.#prefixLength, at, at + count);
    this.#prefixLength += count;
    if (this.#prefixLength < prefixBytes) return count;
    this.#prefixLength = 0;
    this.#bodyLength = this.#prefix.readUInt32BE(1);
    if (this.#bodyLength > messageBytesMax) {
      throw new StatusError(
        'RESOURCE_EXHAUSTED',
        `Received message larger than max (${this.#bodyLength} vs ${messageBytesMax})`,
      );
    }
    this.#count(this.#bodyLength);
    this.#received = 0;
    this.#body = allocate(this.#bodyLength);
    return count;
  }

  #count(bytes: number): void {
    if (receivingBytes + bytes > receivingBytesMax) {
      const why = `Messages of ${receivingBytes} bytes are being received, and ${bytes} more are over the limit of ${receivingBytesMax} bytes.`;
      throw new StatusError('RESOURCE_EXHAUSTED', `${why} Try again.`);
    }
    receivingBytes += bytes;
    this.#countedBytes += bytes;
  }

  /** The messages so far are used up, or counted by somebody else. */
  release(): void {
    receivingBytes -= this.#countedBytes;
    this.#countedBytes = 0;
  }

  /** Nothing more is read, and nothing counted. */
  close(): void {
    this.#isClosed = true;
    this.#body = undefined;
    this.release();
  }

  #decompress(compressed: Buffer): Buffer {
    const message = this.#inflate(compressed);
    this.#count(message.length - compressed.length);
    return message;
  }

  #inflate(message: Buffer): Buffer {
    const options = { maxOutputLength: messageBytesMax };
    try {
      if (this.#encoding === 'gzip') return gunzipSync(message, options);
      if (this.#encoding === 'deflate') return inflateSync(message, options);
    } catch (cause) {
      const text = `A message cannot be decompressed: ${(cause as Error).message}`;
      throw new StatusError('RESOURCE_EXHAUSTED', text);
    }
    throw new StatusError('UNIMPLEMENTED', `Messages compressed by ${this.#encoding} are not read.`);
  }
}

/** The buffer of a message that nobody reads any more. */
export function releaseMessage({ buffer }: Buffer): void {
  if (!pooledMemory.has(buffer) || poolBytes + buffer.byteLength > poolBytesMax) return;
  pool.push(Buffer.from(buffer as ArrayBuffer));
  poolBytes += buffer.byteLength;
}

/** A message with its prefix. */
export function frame(message: Buffer): Buffer {
  const framed = Buffer.allocUnsafe(prefixBytes + message.length);
  writePrefix(framed, message.length);
  message.copy(framed, prefixBytes);
  return framed;
}
