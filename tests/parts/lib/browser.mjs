// The least that is needed to act as a browser: redirects and cookies, nothing else.

import http from 'node:http';

import { readBody } from './control.mjs';

export function request(url, { method = 'GET', headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const req = http.request(url, { method, headers }, async (res) => {
      try {
        const text = (await readBody(res)).toString();
        resolve({ status: res.statusCode, headers: res.headers, text });
      } catch (error) {
        reject(error);
      }
    });
    req.on('error', reject).end(body);
  });
}

/**
 * Follows an authorization URL to the redirect of the client. `location` is that redirect, or
 * null where the server answered otherwise. With `deliver` the redirect is followed as well and
 * the answer is what the client's listener said.
 */
export async function signIn(url, origin, deliver) {
  const cookies = new Map();
  let location = url;
  for (let hops = 1; hops < 20; hops += 1) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await request(location, { headers: cookie ? { cookie } : {} });
    for (const line of answer.headers['set-cookie'] ?? []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (value) cookies.set(name, value);
      else cookies.delete(name);
    }
    if (!answer.headers.location) {
      return { location: null, status: answer.status, body: answer.text, hops };
    }
    location = new URL(answer.headers.location, location).href;
    if (new URL(location).origin !== origin) {
      if (!deliver) return { location, status: answer.status, body: '', hops };
      const end = await request(location);
      return { location, status: end.status, body: end.text, headers: end.headers, hops };
    }
  }
  throw new Error('too many redirects');
}

/**
 * A person on another device: opens the page that knows the code and submits each form that it
 * shows, with `answer` ("confirm" or "abort") where one asks. Resolves to the last page.
 */
export async function enterCode(url, answer) {
  const cookies = new Map();
  let next = { url };
  for (let pages = 1; pages < 20; pages += 1) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const { method, body } = next;
    const page = await request(next.url, {
      method,
      body,
      headers: {
        ...(cookie ? { cookie } : {}),
        ...(body ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
      },
    });
    for (const line of page.headers['set-cookie'] ?? []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (value) cookies.set(name, value);
      else cookies.delete(name);
    }
    const form = /<form[^>]*method="post"[^>]*action="([^"]+)"/.exec(page.text);
    if (body && answer === 'abort') return { status: page.status, body: page.text, pages };
    if (page.headers.location) {
      next = { url: new URL(page.headers.location, next.url).href };
    } else if (form) {
      const fields = new URLSearchParams();
      for (const [input] of page.text.matchAll(/<input[^>]*>/g)) {
        const name = /name="([^"]*)"/.exec(input)?.[1];
        const value = /value="([^"]*)"/.exec(input)?.[1];
        if (name && value !== undefined) fields.set(name, value);
      }
      fields.delete('abort');
      fields.set(answer, 'yes');
      next = { url: new URL(form[1], next.url).href, method: 'POST', body: fields.toString() };
    } else {
      return { status: page.status, body: page.text, pages };
    }
  }
  throw new Error('too many pages');
}
