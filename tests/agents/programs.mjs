// The four programs: how each is started for one prompt against a stand-in model, and how it is told of
// the server `ev` where neither doorward's `run` nor its `connect` tells it.

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const json = (value) => JSON.stringify(value);

const write = (path, value) => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, json(value));
};

/** What the person has in Gemini's file before any server. */
const gemini = { security: { auth: { selectedType: 'gemini-api-key' } } };

/**
 * Each gives arguments and variables. `prepare(home)`: the files that the person had before `connect`.
 * `bridge`: a command that serves `ev` on a pipe, and that is to be used; `url`: the address of `ev`, for
 * a program that `run` cannot tell.
 */
export const programs = {
  claude: {
    title: 'Claude Code',
    prepare: () => {},
    file: '.claude.json',
    start: ({ model, prompt, bridge }) => ({
      arguments: [
        '-p', prompt, '--model', 'claude-sonnet-4-5', '--allowedTools', 'mcp__ev__echo,mcp__ev__sign_in',
        ...(bridge ? [
          `--mcp-config=${json({ mcpServers: { ev: { command: bridge[0], args: bridge.slice(1) } } })}`,
          '--strict-mcp-config',
        ] : []),
      ],
      variables: {
        ANTHROPIC_BASE_URL: model, ANTHROPIC_API_KEY: 'x', ENABLE_TOOL_SEARCH: 'false',
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', DISABLE_AUTOUPDATER: '1',
        // Its one prompt waits for servers, and longer than two seconds: the machine may be busy.
        MCP_CONNECTION_NONBLOCKING: 'false',
        MCP_CONNECT_TIMEOUT_MS: '60000',
      },
    }),
  },
  codex: {
    title: 'Codex',
    prepare: (home) => { mkdirSync(join(home, '.codex'), { recursive: true }); },
    file: '.codex/config.toml',
    start: ({ model, prompt, bridge }) => {
      const settings = [
        'model="standin"', 'model_provider="standin"',
        `model_providers.standin={name="standin",base_url="${model}/v1",wire_api="responses",env_key="STANDIN"}`,
        'mcp_servers.ev.default_tools_approval_mode="approve"',
        // Its one prompt waits for the server, and longer than usual: the machine may be busy.
        'mcp_servers.ev.required=true', 'mcp_servers.ev.startup_timeout_sec=60',
        ...(bridge ? [
          `mcp_servers.ev.command=${json(bridge[0])}`, `mcp_servers.ev.args=${json(bridge.slice(1))}`,
        ] : []),
      ];
      return {
        arguments: [
          'exec', '--skip-git-repo-check', ...settings.flatMap((setting) => ['-c', setting]), prompt,
        ],
        variables: { STANDIN: 'x' },
      };
    },
  },
  opencode: {
    title: 'OpenCode',
    prepare: () => {},
    file: '.config/opencode/opencode.json',
    start: ({ model, prompt, bridge }) => ({
      arguments: ['run', '-m', 'standin/standin', prompt],
      variables: {
        OPENCODE_CONFIG_CONTENT: json({
          autoupdate: false, share: 'disabled', permission: 'allow',
          // Five seconds are the usual ones, and the machine may be busy.
          experimental: { mcp_timeout: 60_000 },
          provider: {
            standin: {
              npm: '@ai-sdk/openai-compatible', name: 'standin',
              options: { baseURL: `${model}/v1`, apiKey: 'x' },
              models: { standin: { name: 'standin', tool_call: true } },
            },
          },
          ...(bridge ? { mcp: { ev: { type: 'local', command: bridge, enabled: true } } } : {}),
        }),
        OPENCODE_DISABLE_AUTOUPDATE: '1', OPENCODE_DISABLE_MODELS_FETCH: '1',
      },
    }),
  },
  gemini: {
    title: 'Gemini CLI',
    prepare: (home) => { write(join(home, '.gemini/settings.json'), gemini); },
    file: '.gemini/settings.json',
    // It takes settings for one run from root only, so that its entry is in its own file.
    start: ({ home, model, prompt, bridge, url }) => {
      const entry = bridge
        ? { command: bridge[0], args: bridge.slice(1) }
        : { httpUrl: url, headers: { Authorization: 'Bearer $DOORWARD_SESSION' } };
      if (bridge || url) {
        const servers = { ev: { ...entry, trust: true } };
        write(join(home, '.gemini/settings.json'), { ...gemini, mcpServers: servers });
      }
      return {
        arguments: ['-p', prompt, '--skip-trust', '--approval-mode', 'yolo', '-m', 'gemini-2.5-flash'],
        variables: {
          GOOGLE_GEMINI_BASE_URL: model, GEMINI_API_KEY: 'x', GEMINI_CLI_NO_RELAUNCH: 'true',
        },
      };
    },
  },
};
