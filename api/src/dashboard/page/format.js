/** Numbers as people read them; `–` for what is not known. */

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

const unknown = '–';
/** @typedef {(value: number | null | undefined) => string} Format */

/** @type {Format} */
export const count = (value) => known(value, (number) => (number < 10 ? fine : whole).format(number));

/** @type {Format} */
export const short = (value) => known(value, (number) => compact.format(number));

/** @type {Format} */
export const milliseconds = (value) => known(value, (ms) => `${count(ms)}\u00a0ms`);

/** @param {number[]} values of the processes of one part, such as `120 + 250 MiB` */
export const mebibytes = (values) =>
  values.length === 0 ? unknown : `${values.map((value) => whole.format(value)).join(' + ')}\u00a0MiB`;

/** @param {number | null} seconds */
export const toMilliseconds = (seconds) => (seconds === null ? null : seconds * 1000);

/** @type {Format} */
export const age = (value) =>
  known(value, (seconds) => {
    if (seconds < 90) return `${seconds < 10 ? fine.format(seconds) : whole.format(seconds)}\u00a0s`;
    if (seconds < 5400) return `${whole.format(seconds / 60)}\u00a0min`;
    return `${fine.format(seconds / 3600)}\u00a0h`;
  });

/**
 * @param {number | null | undefined} value
 * @param {(value: number) => string} format
 */
function known(value, format) {
  return value === null || value === undefined || Number.isNaN(value) ? unknown : format(value);
}
