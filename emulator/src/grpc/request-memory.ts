/**
 * The memory of requests while they arrive, over all calls of a gRPC front. A request that says how long it will be has
 * no memory by that: it gets some when its bytes come. Large buffers are used again.
 */
import { StatusError } from '../methods/status.ts';

/** Twenty publishes of the usual 3 MB, a quarter of the memory of the smallest machine that this is made for. */
const bytesMax = 64 * 1024 * 1024;
/**
 * Up to here a request that has begun gets all of its memory at once, which saves copies: half of what there is. Beyond
 * it, twice what has arrived, so that the memory is with those who send.
 */
const wholeBytesMax = bytesMax / 2;
const firstBytes = 4 * 1024;

/** Smaller ones come from Node's own pool. */
const pooledBytesMin = 64 * 1024;
const poolBytesMax = 16 * 1024 * 1024;
/** Lengths are rounded up, so that a buffer fits the next request too. */
const roundingBytes = 256 * 1024;
/** A buffer that is more times as large as what is asked for stays in the pool. */
const sparePart = 2;

export class RequestMemory {
  #bytes = 0;
  #pool: Buffer[] = [];
  #poolBytes = 0;
  /** Which memory is the pool's: Node's own slabs are not to be given to it. */
  #pooledMemory = new WeakSet<ArrayBufferLike>();

  /**
   * A buffer for a request of `length` bytes of which `arrived` are there; not counted yet. When those are more than it
   * holds, the next one is asked for.
   */
  allocate(length: number, arrived: number): Buffer {
    const isWhole = this.#bytes + length <= wholeBytesMax;
    const bytes = isWhole ? length : Math.min(length, Math.max(2 * arrived, firstBytes));
    if (bytes < pooledBytesMin) return Buffer.allocUnsafe(bytes);
    const at = this.#pool.findIndex((buffer) => buffer.length >= bytes && buffer.length <= sparePart * bytes);
    const [pooled] = at < 0 ? [] : this.#pool.splice(at, 1);
    if (pooled) {
      this.#poolBytes -= pooled.length;
      return pooled.subarray(0, bytes);
    }
    const buffer = Buffer.allocUnsafeSlow(Math.ceil(bytes / roundingBytes) * roundingBytes);
    this.#pooledMemory.add(buffer.buffer);
    return buffer.subarray(0, bytes);
  }

  /** The buffer of a request that nobody reads any more. */
  free({ buffer }: Buffer): void {
    if (!this.#pooledMemory.has(buffer) || this.#poolBytes + buffer.byteLength > poolBytesMax) return;
    this.#pool.push(Buffer.from(buffer as ArrayBuffer));
    this.#poolBytes += buffer.byteLength;
  }

  /** @throws StatusError when there is no room for so much. */
  count(bytes: number): void {
    if (this.#bytes + bytes > bytesMax) {
      const why = `Requests of ${this.#bytes} bytes are arriving, and ${bytes} more are over the limit of ${bytesMax} bytes.`;
      throw new StatusError('RESOURCE_EXHAUSTED', `${why} Try again.`);
    }
    this.#bytes += bytes;
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes;
  }
}
