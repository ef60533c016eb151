/** The commands in the project's documents, as somebody would type them. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '../..');

interface Command {
  /** Such as `README.md`. */
  document: string;
  /** Without comment; a continued line or a loop is one. */
  text: string;
}

export const documents = execFileSync('git', ['ls-files', '*.md'], { cwd: root, encoding: 'utf8' })
  .trim()
  .split('\n');

const fence = /^( *)```(\w*)\n([\s\S]*?)^ *```$/gm;

/** Of blocks in these languages every line is a command. */
const shells = ['sh', 'bash', 'powershell'];

/** In prose, and in blocks of no language, what begins with one of these and goes on, or lies in the project's folder. */
const programs = [
  ...[
    'npm',
    'npx',
    'node',
    'corepack',
    'git',
    'go',
    'cargo',
    'pip',
    'python3',
    'java',
    'mvn',
    'make',
    'sudo',
    'sh',
    'bash',
  ],
  ...[
    'curl',
    'wget',
    'kubectl',
    'helm',
    'k3d',
    'kind',
    'minikube',
    'docker',
    'podman',
    'gcloud',
    'k6',
    'wrk',
    'mongosh',
  ],
  ...[
    'brew',
    'apt',
    'apt-get',
    'pacman',
    'snap',
    'winget',
    'choco',
    'wsl',
    'getent',
    'systemctl',
    'openssl',
    'echo',
    'export',
  ],
];
const typed = new RegExp(`^((\\./|node_modules/)\\S+|([A-Z_]+=('[^']*'|\\S+) )*(${programs.join('|')}) \\S)`);

/** All of one document, in their order. */
export function readCommands(document: string): Command[] {
  const text = readFileSync(join(root, document), 'utf8');
  const ofBlocks = [...text.matchAll(fence)].flatMap(([, , language = '', block = '']) => {
    if (shells.includes(language)) return linesOf(block);
    return language === '' ? linesOf(block).filter((line) => typed.test(line)) : [];
  });
  const prose = text.replace(fence, '').replace(/<!--[\s\S]*?-->/g, '');
  const spans = [...prose.matchAll(/(?<!`)(`+)(?!`)([\s\S]+?)(?<!`)\1(?!`)/g)].map(([, , span = '']) =>
    span.replaceAll('\\|', '|').replace(/\s+/g, ' ').trim(),
  );
  return [...ofBlocks, ...spans.filter((span) => typed.test(span))].map((line) => ({ document, text: line }));
}

function linesOf(block: string): string[] {
  return block
    .replace(/\\\n\s*/g, '')
    .replace(/^( *for .*\n)([\s\S]*?^ *done)$/gm, (loop) => loop.trim().replace(/\n\s*/g, ' '))
    .split('\n')
    .map((line) => line.replace(/(^|\s)#\s.*$/, '').trim())
    .filter((line) => line !== '');
}

const substitution = /\$\(((?:[^()'"]|'[^']*'|"[^"]*")*)\)/g;

/** What a line runs one after the other or side by side, what it hands to another in `$(…)` included. */
export function partsOf(line: string): string[] {
  const inner = [...line.matchAll(substitution)].map(([, command = '']) => command);
  const [, loop = line] = /^for .*?; do (.*) done$/.exec(line) ?? [];
  const outer = loop.split(/ (?:&&|\|) (?=(?:[^'"]|'[^']*'|"[^"]*")*$)/);
  return [...outer, ...inner]
    .map((part) => part.trim())
    .filter((part) => !isAssignment(part) && !shellAlone.test(part));
}

/** Of a pipe, whose other end says what runs. */
const shellAlone = /^(ba)?sh$/;

function isAssignment(part: string): boolean {
  return /^(export )?[A-Za-z_]+=('[^']*'|\S*)$/.test(part.replace(substitution, ''));
}

/** The words of a part, unquoted, without the variables before it. */
export function wordsOf(part: string): string[] {
  const words = part.match(/(?:[^\s'"]|'[^']*'|"[^"]*")+/g) ?? [];
  const plain = words.map((word) => word.replace(/'([^']*)'|"([^"]*)"/g, (_, a = '', b = '') => a + b));
  return plain.slice(plain.findIndex((word) => !/^[A-Z_]+=/.test(word)));
}
