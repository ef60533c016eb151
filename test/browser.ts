/** A real browser for tests and screenshots: Debian's chromium, driven by playwright-core. */
import { type Browser, chromium } from 'playwright-core';
import { findProgram } from './programs.ts';

/** Nothing of it asks the network for anything but what its pages ask for. */
const args = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
  ...['--disable-background-networking', '--disable-component-update'],
];

/** With a fresh profile of its own, removed when it is closed. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: findProgram('chromium'), args });
}
