// SPDX-License-Identifier: Apache-2.0
import { resolve, sep } from 'node:path';
import eslint from '@eslint/js';
import tseslint from 'typescript-eslint';

const PROTOCOL_FOLDER = resolve(import.meta.dirname, 'sidecar/protocol') + sep;

/** Protocol code has no I/O, clock or randomness of its own, so it may import nothing from outside its folder. */
const protocolStandsAlone = {
  meta: {
    type: 'problem',
    schema: [],
    messages: { outside: "sidecar/protocol is pure: it may not import '{{source}}'. Pass what it needs in." },
  },
  create(context) {
    const check = (node) => {
      const source = node.source?.value;
      if (typeof source !== 'string') return;
      const inside =
        source.startsWith('.') && resolve(context.filename, '..', source).startsWith(PROTOCOL_FOLDER);
      if (!inside) context.report({ node, messageId: 'outside', data: { source } });
    };
    return {
      ImportDeclaration: check,
      ImportExpression: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
    };
  },
};

const IMPURE_GLOBALS = [
  'Date',
  'process',
  'performance',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
  'crypto',
  'fetch',
  'console',
];

export default tseslint.config(
  { ignores: ['build/', 'node_modules/', 'native/build/'] },
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/no-floating-promises': ['error', { ignoreVoid: false }],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      eqeqeq: 'error',
      'no-restricted-syntax': [
        'error',
        { selector: "CallExpression[callee.property.name='only']", message: 'A test left focused.' },
        { selector: "CallExpression[callee.property.name='skip']", message: 'A test left out.' },
      ],
    },
  },
  {
    // mocha's describe/it and chai's property assertions are expressions by design.
    files: ['**/*.test.ts', 'test/**/*.ts'],
    rules: { '@typescript-eslint/no-unused-expressions': 'off' },
  },
  {
    files: ['sidecar/protocol/**/*.ts'],
    ignores: ['**/*.test.ts'],
    plugins: { lockstep: { rules: { 'protocol-stands-alone': protocolStandsAlone } } },
    rules: {
      'lockstep/protocol-stands-alone': 'error',
      'no-restricted-globals': ['error', ...IMPURE_GLOBALS],
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: 'Time is a parameter.' },
        { object: 'Math', property: 'random', message: 'Randomness is a parameter.' },
      ],
    },
  },
  {
    files: ['**/*.{js,mjs}'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly' } },
  },
);
