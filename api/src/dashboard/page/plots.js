/** The plots of the last two minutes, drawn by uPlot, each with its figures as text beneath. */
import { setText } from './elements.js';
import * as format from './format.js';

/** @typedef {import('../frame.ts').Frame} Frame */
/**
 * @typedef {object} Line
 * @property {string} label
 * @property {'blue' | 'green' | 'orange' | 'violet'} colour
 * @property {boolean} [dashed]
 * @property {(frame: Frame) => number | null} value
 * @property {format.Format} [format] where it is not the plot's
 * @property {(frame: Frame) => string} [text] where the legend tells more than the value
 * @property {string} [scale] of its own, at the right
 */
/**
 * @typedef {object} Plot
 * @property {string} title
 * @property {string} unit
 * @property {format.Format} format
 * @property {Line[]} lines
 */

/** @type {typeof import('uplot')} */
const uPlot = Reflect.get(window, 'uPlot');

export const secondsShown = 120;
/** A page that was just opened does not show two empty minutes. */
const secondsShownMin = 30;

/**
 * The largest process is drawn: it is the one that its limit ends first. The legend lists all.
 * @param {keyof Frame['memory']} part
 * @param {Pick<Line, 'label' | 'colour' | 'dashed'>} look
 * @returns {Line}
 */
function memoryLine(part, look) {
  /** @param {Frame} frame */
  const mebibytes = (frame) => frame.memory[part].map((bytes) => bytes / 1024 / 1024);
  return {
    ...look,
    value: (frame) => (frame.memory[part].length === 0 ? null : Math.max(...mebibytes(frame))),
    text: (frame) => format.mebibytes(mebibytes(frame)),
  };
}

/** @type {Plot[]} */
const plots = [
  {
    title: 'Writes',
    unit: 'per second',
    format: format.count,
    lines: [
      { label: 'confirmed', colour: 'blue', value: (frame) => frame.confirmed.rate },
      { label: 'stored', colour: 'green', dashed: true, value: (frame) => frame.stored.rate },
    ],
  },
  {
    title: 'Answers',
    unit: 'milliseconds',
    format: format.milliseconds,
    lines: [
      {
        label: 'half within',
        colour: 'blue',
        value: (frame) => format.toMilliseconds(frame.requests.latency.p50),
      },
      {
        label: '95 %',
        colour: 'orange',
        dashed: true,
        value: (frame) => format.toMilliseconds(frame.requests.latency.p95),
      },
      {
        label: '99 %',
        colour: 'violet',
        value: (frame) => format.toMilliseconds(frame.requests.latency.p99),
      },
    ],
  },
  {
    title: 'Backlog',
    unit: 'envelopes, and seconds at the right',
    format: format.count,
    lines: [
      { label: 'kept', colour: 'blue', value: (frame) => frame.backlog.unacked },
      { label: 'leased', colour: 'green', dashed: true, value: (frame) => frame.backlog.leased },
      {
        label: 'oldest',
        colour: 'orange',
        value: (frame) => frame.backlog.oldestAge,
        format: format.age,
        scale: 'age',
      },
    ],
  },
  {
    title: 'Batches',
    unit: 'writes, and batches a second at the right',
    format: format.count,
    lines: [
      { label: 'writes a batch', colour: 'blue', value: (frame) => frame.batches.writesMean },
      {
        label: 'batches/s',
        colour: 'orange',
        dashed: true,
        value: (frame) => frame.batches.rate,
        scale: 'rate',
      },
    ],
  },
  {
    title: 'MongoDB',
    unit: 'operations, and milliseconds at the right',
    format: format.count,
    lines: [
      { label: 'reads', colour: 'blue', value: (frame) => frame.operations.reads.active },
      { label: 'writes', colour: 'green', dashed: true, value: (frame) => frame.operations.writes.active },
      {
        label: 'bulkWrite, 95 %',
        colour: 'orange',
        value: (frame) => format.toMilliseconds(frame.operations.bulkWrite.p95),
        format: format.milliseconds,
        scale: 'duration',
      },
    ],
  },
  {
    title: 'Memory',
    unit: 'MiB, of the largest process of a part',
    format: format.count,
    lines: [
      memoryLine('api', { label: 'api', colour: 'blue' }),
      memoryLine('writer', { label: 'writer', colour: 'green', dashed: true }),
      memoryLine('emulator', { label: 'emulator', colour: 'orange' }),
      memoryLine('mongodb', { label: 'MongoDB', colour: 'violet', dashed: true }),
    ],
  },
];

/**
 * @param {HTMLElement} section
 * @returns {{ show(frames: Frame[]): void }}
 */
export function createPlots(section) {
  const drawn = plots.map((plot) => createPlot(section, plot));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    for (const { redraw } of drawn) redraw();
  });
  return {
    show(frames) {
      for (const { show } of drawn) show(frames);
    },
  };
}

/**
 * @param {HTMLElement} section
 * @param {Plot} plot
 */
function createPlot(section, plot) {
  const figure = document.createElement('figure');
  const caption = document.createElement('figcaption');
  const title = document.createElement('h2');
  title.textContent = plot.title;
  const unit = document.createElement('span');
  unit.textContent = plot.unit;
  caption.append(title, unit);
  const canvas = document.createElement('div');
  canvas.className = 'canvas';
  canvas.ariaHidden = 'true';
  const legend = createLegend(plot);
  figure.append(caption, canvas, legend.list);
  section.append(figure);

  const chart = new uPlot(createOptions(plot, canvas), [[], ...plot.lines.map(() => [])], canvas);
  new ResizeObserver(() => chart.setSize(sizeOf(canvas))).observe(canvas);
  return {
    redraw: () => chart.redraw(false),
    /** @param {Frame[]} frames */
    show(frames) {
      const times = frames.map((frame) => frame.at / 1000);
      chart.setData([times, ...plot.lines.map((line) => frames.map(line.value))]);
      const newest = frames.at(-1);
      if (newest) legend.show(newest);
    },
  };
}

/** @param {Plot} plot */
function createLegend(plot) {
  const list = document.createElement('dl');
  list.className = 'legend';
  const values = plot.lines.map((line) => {
    const entry = document.createElement('div');
    entry.className = line.dashed ? `${line.colour} dashed` : line.colour;
    const term = document.createElement('dt');
    term.textContent = line.label;
    const value = document.createElement('dd');
    entry.append(term, value);
    list.append(entry);
    return value;
  });
  return {
    list,
    /** @param {Frame} frame */
    show(frame) {
      for (const [index, line] of plot.lines.entries()) {
        const value = values[index];
        if (!value) continue;
        setText(value, line.text?.(frame) ?? (line.format ?? plot.format)(line.value(frame)));
      }
    },
  };
}

/**
 * @param {Plot} plot
 * @param {HTMLElement} canvas
 * @returns {import('uplot').Options}
 */
function createOptions(plot, canvas) {
  /** @param {string} name */
  const colour = (name) => () => getComputedStyle(canvas).getPropertyValue(`--${name}`);
  const second = plot.lines.find((line) => line.scale);
  const axis = {
    stroke: colour('soft'),
    font: '12px system-ui, sans-serif',
    grid: { stroke: colour('grid'), width: 1 },
    ticks: { show: false },
  };
  return {
    ...sizeOf(canvas),
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { time: true, range: (_chart, min, max) => [Math.min(min, max - secondsShownMin), max] },
      y: { range: fromZero },
      ...(second?.scale ? { [second.scale]: { range: fromZero } } : {}),
    },
    axes: [
      { ...axis, size: 30, space: 70, values: '{HH}:{mm}:{ss}' },
      { ...axis, size: 46, values: short },
      ...(second?.scale
        ? [
            {
              ...axis,
              scale: second.scale,
              side: /** @type {const} */ (1),
              size: 42,
              grid: { show: false },
              values: short,
            },
          ]
        : []),
    ],
    series: [
      {},
      ...plot.lines.map((line) => ({
        scale: line.scale ?? 'y',
        stroke: colour(line.colour),
        width: 2,
        ...(line.dashed ? { dash: [6, 4] } : {}),
        points: { show: false },
      })),
    ],
  };
}

/** @type {import('uplot').Range.Function} */
const fromZero = (_chart, _min, max) => [0, max > 0 ? max * 1.1 : 1];

/** @type {import('uplot').Axis.DynamicValues} */
const short = (_chart, splits) => splits.map((split) => format.short(split));

/** @param {HTMLElement} element */
function sizeOf(element) {
  return { width: element.clientWidth || 300, height: element.clientHeight || 170 };
}
