// The four programs: how each is started for one prompt against a stand-in model, and how it is told of
// a server on a pipe where doorward's `run` does not tell it.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const json = (value) => JSON.stringify(value);

/**
 * `start({home, model, prompt, bridge})` gives arguments and variables; with `bridge`, a command that
 * serves the MCP server `ev` on a pipe, the program is to use that one and is started without `run`.
 */
export const programs = {
  claude: {
    package: '@anthropic-ai/claude-code',
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
      },
    }),
  },
  codex: {
    package: '@openai/codex',
    start: ({ home, model, prompt, bridge }) => {
      mkdirSync(join(home, '.codex'), { recursive: true });
      const settings = [
        'model="standin"', 'model_provider="standin"',
        `model_providers.standin={name="standin",base_url="${model}/v1",wire_api="responses",env_key="STANDIN"}`,
        'mcp_servers.ev.default_tools_approval_mode="approve"',
        ...(bridge ? [
          `mcp_servers.ev.command=${json(bridge[0])}`, `mcp_servers.ev.args=${json(bridge.slice(1))}`,
        ] : []),
      ];
      return {
        arguments: [
          'exec', '--skip-git-repo-check', ...settings.flatMap((setting) => ['-c', setting]), prompt,
        ],
        variables: { STANDIN: 'x', CODEX_HOME: join(home, '.codex') },
      };
    },
  },
  opencode: {
    package: 'opencode-ai',
    start: ({ model, prompt, bridge }) => ({
      arguments: ['run', '-m', 'standin/standin', prompt],
      variables: {
        OPENCODE_CONFIG_CONTENT: json({
          autoupdate: false, share: 'disabled', permission: 'allow',
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
    package: '@google/gemini-cli',
    // It takes settings for one run from root only, so that its entry is in its own file.
    start: ({ home, model, prompt, bridge, url }) => {
      mkdirSync(join(home, '.gemini'), { recursive: true });
      const entry = bridge
        ? { command: bridge[0], args: bridge.slice(1) }
        : { httpUrl: url, headers: { Authorization: 'Bearer $DOORWARD_SESSION' } };
      writeFileSync(join(home, '.gemini/settings.json'), json({
        security: { auth: { selectedType: 'gemini-api-key' } },
        mcpServers: { ev: { ...entry, trust: true } },
      }));
      return {
        arguments: ['-p', prompt, '--skip-trust', '--approval-mode', 'yolo', '-m', 'gemini-2.5-flash'],
        variables: {
          GOOGLE_GEMINI_BASE_URL: model, GEMINI_API_KEY: 'x', GEMINI_CLI_NO_RELAUNCH: 'true',
        },
      };
    },
  },
};
